"""What a catalog says of a table: its metadata, as JSON, read without any library.

A run only asks what is published, and nothing is new: so no more than this is imported for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

RUN, FINGERPRINT, CONTENT = "materia.run", "materia.fingerprint", "materia.content"
PUBLICATION = "materia.publication"
MAIN = "main"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableName:
    """A table in the catalog.

    Attributes:
        namespace: One level.
        table: Its name there.
    """

    namespace: str
    table: str

    @classmethod
    def of(cls, name: str, prefix: str) -> TableName:
        """Of `serving.prices`, in the namespace `<prefix>serving`."""
        layer, _, table = name.partition(".")
        return cls(namespace=f"{prefix}{layer}", table=table)

    def __str__(self) -> str:
        return f"{self.namespace}.{self.table}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableState:
    """A table as it was loaded.

    Attributes:
        name: Of the table.
        metadata: As in the "table metadata" of the Iceberg specification.
        config: Of the answer: how its files are reached; may hold a key.
    """

    name: TableName
    metadata: Mapping[str, Any] = field(repr=False)
    config: Mapping[str, str] = field(repr=False)

    @property
    def location(self) -> str:
        """Folder of its files, without a slash at its end."""
        return str(self.metadata["location"]).rstrip("/")

    @property
    def uuid(self) -> str:
        """Of this table, and of no other that ever has its name."""
        return str(self.metadata["table-uuid"])

    @property
    def snapshots(self) -> dict[int, Mapping[str, Any]]:
        """All that are not expired, by id."""
        return {int(one["snapshot-id"]): one for one in self.metadata.get("snapshots") or ()}

    @property
    def head(self) -> int | None:
        """The snapshot that readers see, or None when there is none yet."""
        found = (self.metadata.get("refs") or {}).get(MAIN)
        current = found["snapshot-id"] if found else self.metadata.get("current-snapshot-id")
        return None if current in {None, -1} else int(current)

    @property
    def refs(self) -> dict[str, int]:
        """Snapshots of tags and of branches but `main`, by name."""
        refs: Mapping[str, Any] = self.metadata.get("refs") or {}
        return {name: int(ref["snapshot-id"]) for name, ref in refs.items() if name != MAIN}

    def without(self, expired: Collection[int]) -> TableState:
        """The same without snapshots that have *expired*."""
        snapshots = [one for number, one in self.snapshots.items() if number not in expired]
        return replace(self, metadata={**self.metadata, "snapshots": snapshots})

    def line(self, snapshot: int | None) -> Iterator[Mapping[str, Any]]:
        """A snapshot and those it came from, newest first, as far as they are not expired."""
        snapshots = self.snapshots
        while snapshot is not None and snapshot in snapshots:
            found = snapshots.pop(snapshot)
            yield found
            parent = found.get("parent-snapshot-id")
            snapshot = None if parent in {None, -1} else int(parent)

    def ours(self) -> Mapping[str, Any] | None:
        """The snapshot in force that materia made; one that only moved rows may be after it."""
        for one in self.line(self.head):
            summary = one.get("summary") or {}
            if RUN in summary:
                return one
            if summary.get("operation") != "replace":
                return None
        return None

    def last_of_ours(self) -> Mapping[str, Any] | None:
        """The newest snapshot in force that materia made, whatever came after it."""
        return next(
            (one for one in self.line(self.head) if RUN in (one.get("summary") or {})), None
        )
