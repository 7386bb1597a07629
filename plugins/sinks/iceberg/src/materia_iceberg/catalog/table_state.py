"""Iceberg table metadata (snapshots, refs, schemas) as JSON of the catalog, without pyiceberg.

A run that finds nothing new reads only the published state, and imports no more than this for it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

RUN, FINGERPRINT, CONTENT = "materia.run", "materia.fingerprint", "materia.content"
PUBLICATION = "materia.publication"
MAIN = "main"
REFUSED = re.compile(r"[/\\%;?#\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableName:
    """A table in the catalog.

    Attributes:
        namespace: A namespace of one level.
        table: Name in the namespace.
    """

    namespace: str
    table: str

    @classmethod
    def of(cls, name: str, prefix: str) -> TableName:
        """The name of `serving.prices`: table `prices` in the namespace `<prefix>serving`."""
        layer, _, table = name.partition(".")
        return cls(namespace=f"{prefix}{layer}", table=table)

    @property
    def is_addressable(self) -> bool:
        """Whether servers and object stores accept the name as a part of an address.

        Some refuse these characters even if they are encoded, so that such a table could be made,
        but neither loaded nor dropped.
        """
        return self.table not in {"", ".", ".."} and not REFUSED.search(self.table)

    def __str__(self) -> str:
        return f"{self.namespace}.{self.table}"


def mark_of(uuid: str) -> str:
    """Eight letters in the names of all files of a table, by the UUID of the table.

    A catalog may give two tables one folder: then each deletes only its own files there.
    """
    return hashlib.sha256(uuid.encode(errors="replace")).hexdigest()[:8]


def check_metadata(metadata: Mapping[str, Any]) -> None:
    """Check the parts of "table metadata" that materia reads, since a catalog may send anything.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: a part is missing or of another type.
    """
    texts = [metadata["table-uuid"], metadata["location"]]
    numbers = [metadata["last-column-id"], metadata.get("last-sequence-number") or 0]
    numbers += [metadata.get("last-updated-ms") or 0, metadata.get("current-snapshot-id") or 0]
    for ref in (metadata.get("refs") or {}).values():
        numbers.append(ref["snapshot-id"])
    for name, value in (metadata.get("properties") or {}).items():
        texts += [name, value]
    for one in metadata.get("snapshots") or ():
        numbers += [one["snapshot-id"], one["timestamp-ms"], one.get("parent-snapshot-id") or 0]
        texts.append(one.get("manifest-list") or "")
        for name, value in (one.get("summary") or {}).items():
            texts += [name, value]
    if not all(isinstance(one, str) for one in texts) or not all(
        type(one) is int for one in numbers
    ):
        raise TypeError


@dataclass(frozen=True, slots=True, kw_only=True)
class TableState:
    """The state of a table when it was loaded.

    Attributes:
        name: Name of the table.
        metadata: "Table metadata" of the Iceberg specification.
        config: From the answer: access to the files of the table; may contain a key.
    """

    name: TableName
    metadata: Mapping[str, Any] = field(repr=False)
    config: Mapping[str, str] = field(repr=False)

    @property
    def location(self) -> str:
        """Folder of its files, without a slash at the end."""
        return str(self.metadata["location"]).rstrip("/")

    @property
    def uuid(self) -> str:
        """UUID of this table; another table of the same name has another."""
        return str(self.metadata["table-uuid"])

    @property
    def mark(self) -> str:
        """Eight letters in the names of all its files; see `mark_of`."""
        return mark_of(self.uuid)

    @property
    def snapshots(self) -> dict[int, Mapping[str, Any]]:
        """All snapshots that are not expired, by id."""
        return {int(one["snapshot-id"]): one for one in self.metadata.get("snapshots") or ()}

    @property
    def head(self) -> int | None:
        """The current snapshot of the branch `main`, or None for a table without one."""
        found = (self.metadata.get("refs") or {}).get(MAIN)
        current = found["snapshot-id"] if found else self.metadata.get("current-snapshot-id")
        return None if current in {None, -1} else int(current)

    @property
    def refs(self) -> dict[str, int]:
        """Snapshots of all tags and of all branches except `main`, by name."""
        refs: Mapping[str, Any] = self.metadata.get("refs") or {}
        return {name: int(ref["snapshot-id"]) for name, ref in refs.items() if name != MAIN}

    def without(self, expired: Collection[int]) -> TableState:
        """The same state without the snapshots *expired*."""
        snapshots = [one for number, one in self.snapshots.items() if number not in expired]
        return replace(self, metadata={**self.metadata, "snapshots": snapshots})

    def line(self, snapshot: int | None) -> Iterator[Mapping[str, Any]]:
        """A snapshot and its ancestors that are not expired, newest first."""
        snapshots = self.snapshots
        while snapshot is not None and snapshot in snapshots:
            found = snapshots.pop(snapshot)
            yield found
            parent = found.get("parent-snapshot-id")
            snapshot = None if parent in {None, -1} else int(parent)

    def ours(self) -> Mapping[str, Any] | None:
        """The current snapshot if materia made it, ignoring compactions after it; or None."""
        for one in self.line(self.head):
            summary = one.get("summary") or {}
            if RUN in summary:
                return one
            if summary.get("operation") != "replace":
                return None
        return None

    def last_of_ours(self) -> Mapping[str, Any] | None:
        """The newest snapshot on `main` that materia made, whatever came after it."""
        return next(
            (one for one in self.line(self.head) if RUN in (one.get("summary") or {})), None
        )

    def has_ours(self) -> bool:
        """Whether materia made any snapshot that is not expired."""
        return any(RUN in (one.get("summary") or {}) for one in self.snapshots.values())
