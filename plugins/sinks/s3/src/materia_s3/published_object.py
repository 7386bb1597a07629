"""What is published: `published.json`, the one object whose swap readers see."""

from __future__ import annotations

from pathlib import Path

from materia_store.bucket.objects import Objects
from materia_store.bucket.pointer import Pointer, decode, encode

POINTER = "published.json"


class PublishedObject:
    """The pointer of `materia_store.bucket.database`, as an object."""

    def __init__(self, objects: Objects) -> None:
        """Keep it among *objects*."""
        self._objects = objects
        self.name = POINTER
        self.where = objects.address.url(POINTER)

    def read(self) -> tuple[Pointer | None, str | None]:
        """What is published, and the ETag of that word; one small request."""
        found = self._objects.read(POINTER)
        if found is None:
            return None, None
        return decode(found.content, self.where), found.etag

    def swap(self, new: Pointer, database: Path, *, expected: str | None) -> bool:
        """Name *new*, if the ETag is still *expected*."""
        if self._objects.swap(POINTER, encode(new), expected=expected) is not None:
            return True
        by, _ = self.read()
        # If it was published, the answer was lost, and another run came after it.
        return by is not None and new.object in {one.object for one in by.earlier}
