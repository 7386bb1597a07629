"""Partition index `partitions.json`: all recorded partitions, independent of bucket listings.

    raw/acme/partitions.json                    {"partitions": ["2026-01", "2026-02"]}

The index only grows: materia never removes the `known.json` of a partition. An extract adds missing
partitions from time to time and at its end, so later runs find every record of a finished extract
by its name.
"""

from __future__ import annotations

import json
from collections.abc import Set as AbstractSet

from materia.errors import BusyError, SinkError

from materia_store.bucket.objects import ListedObject, Objects

INDEX = "partitions.json"
TRIES = 20  # attempts: other writers were faster each time


def read_index(objects: Objects, name: str) -> frozenset[str]:
    """The keys in the index *name*; empty without an index.

    Raises:
        SinkError: it is damaged, or the store cannot be reached.
    """
    return _keys(objects, name, objects.read(name))


def add_to_index(objects: Objects, name: str, keys: AbstractSet[str]) -> frozenset[str]:
    """Add keys and keep those of other writers; return all keys.

    Raises:
        BusyError: other writers change it all the time.
        SinkError: it is damaged, or the write failed.
    """
    for _ in range(TRIES):
        found = objects.read(name)
        before = _keys(objects, name, found)
        if keys <= before:
            return before
        text = json.dumps({"partitions": sorted(keys | before)}, indent=1) + "\n"
        if objects.swap(name, text.encode(), expected=found.etag if found else None) is not None:
            return before | keys
    raise BusyError(f"{objects.address.url(name)}: others change it all the time; run again")


def _keys(objects: Objects, name: str, found: ListedObject | None) -> frozenset[str]:
    if found is None:
        return frozenset()
    try:
        keys: list[str] = json.loads(found.content)["partitions"]
        return frozenset(key[:] or key[0] for key in keys)  # each a non-empty text
    except (ValueError, LookupError, TypeError) as error:
        raise SinkError(
            f"{objects.address.url(name)}: is damaged ({type(error).__name__}: {error}); delete "
            "it, and the next extract makes it again from the listing"
        ) from error
