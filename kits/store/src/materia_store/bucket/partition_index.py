"""Which partitions of a source are known: `partitions.json`, so that no listing is believed alone.

    raw/acme/partitions.json                    {"partitions": ["2026-01", "2026-02"]}

It only grows: `known.json` of a partition is never removed by materia. An extract adds what is
missing now and then and when it is done, so all that a finished extract recorded is found by its
name afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Set as AbstractSet

from materia.errors import BusyError, SinkError

from materia_store.bucket.objects import Found, Objects

INDEX = "partitions.json"
TRIES = 20  # so many others were faster, one after the other


def read_index(objects: Objects, name: str) -> frozenset[str]:
    """The keys in the index of that *name*; none when there is no index yet.

    Raises:
        SinkError: it is damaged, or the store cannot be asked.
    """
    return _keys(objects, name, objects.read(name))


def add_to_index(objects: Objects, name: str, keys: AbstractSet[str]) -> frozenset[str]:
    """Add keys; what others added meanwhile stays. What is in it then.

    Raises:
        BusyError: others change it all the time.
        SinkError: it is damaged, or cannot be written.
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


def _keys(objects: Objects, name: str, found: Found | None) -> frozenset[str]:
    if found is None:
        return frozenset()
    try:
        keys: list[str] = json.loads(found.content)["partitions"]
        return frozenset(key[:] or key[0] for key in keys)  # each a text, and not an empty one
    except (ValueError, LookupError, TypeError) as error:
        raise SinkError(
            f"{objects.address.url(name)}: is damaged ({type(error).__name__}: {error}); delete "
            "it, and the next extract makes it again from what is listed"
        ) from error
