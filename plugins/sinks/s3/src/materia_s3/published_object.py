"""Pointer to the published database: `published.json`, the object that a publish swaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from materia_store.bucket.objects import Objects
from materia_store.bucket.pointer import Pointer, decode, encode

POINTER = "published.json"


class PublishedObject:
    """The pointer of `materia_store.bucket`, kept as an object."""

    def __init__(self, objects: Objects) -> None:
        """Keep it in *objects*."""
        self._objects = objects
        self.name = POINTER
        self.where = objects.address.url(POINTER)

    def read(self) -> tuple[Pointer | None, str | None]:
        """The pointer to the published database, and its ETag; one small request."""
        found = self._objects.read(POINTER)
        if found is None:
            return None, None
        return decode(found.content, self.where), found.etag

    def prepared(
        self, database: Path, *, run: str, tables: Sequence[str]
    ) -> AbstractContextManager[Mapping[str, int]]:
        """Nothing: an object needs no preparation."""
        return nullcontext({})

    def swap(self, new: Pointer, database: Path, *, expected: str | None) -> bool:
        """Write *new* with If-Match: it fails if another run has published."""
        if self._objects.swap(POINTER, encode(new), expected=expected) is not None:
            return True
        by, _ = self.read()
        # True if this run published, its answer was lost, and another run came later. Objects do
        # not show that: that of a rollback is among the earlier ones before it is swapped.
        return by is not None and new.run in {one.run for one in by.earlier}
