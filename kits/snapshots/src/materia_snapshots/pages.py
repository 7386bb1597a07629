"""Pages of an API: a generator of records with a cursor, from which a broken fetch goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from materia_snapshots.periods import Period

__all__ = ["Api", "Page", "Pages"]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of records.

    Attributes:
        records: The rows, each a mapping from column names to text, numbers, booleans or None.
        cursor: Where the next page begins, as the API calls it. materia keeps it with the records:
            after a broken connection the generator starts again with this cursor.
    """

    records: Sequence[Mapping[str, Any]]
    cursor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The API, as a generator of pages sees it.

    Attributes:
        period: The partition to read.
        cursor: Cursor of the last page that arrived; empty at the start.
        get: Function that gets a path below the source's address, with query parameters, and
            returns the decoded JSON. It retries, waits as the server asks, and raises SourceError.
    """

    period: Period
    cursor: str
    get: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Pages:
    """The form of an API: its records become a file of JSON lines, one for each partition.

    Attributes:
        read: Generator of the pages of one partition.
    """

    read: Callable[[Api], Iterator[Page]]
