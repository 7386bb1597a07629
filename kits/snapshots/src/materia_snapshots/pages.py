"""Pages of an API: a generator of records with a cursor, from which a fetch goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from materia._dataclass import dataclass

from materia_snapshots.periods import Period

__all__ = ["Api", "Page", "Pages"]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of records.

    Attributes:
        records: The rows, each a mapping from column names to text, numbers (`Decimal` for those
            with many digits), booleans or None.
        cursor: Where the next page begins, as the API calls it; after the last page, where the
            records begin that are not there yet. materia keeps it with the records, so the last
            page of `Runs` needs one.
    """

    records: Sequence[Mapping[str, Any]]
    cursor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The API, as a generator of pages sees it.

    Attributes:
        period: The partition to read, with its first and last day.
        cursor: Cursor of the last page that arrived; empty at the start.
        secrets: Values of the variables that the declaration names, such as a key for the API.
        get: Function that gets a path below the source's address, with query parameters by name,
            and returns the decoded JSON, in which a number with a point is a `Decimal`, as a float
            would round it; `headers` are sent along. It tries a request again that
            fails for a moment, and waits as the server asks. With secrets it follows no redirect.
    """

    period: Period
    cursor: str
    secrets: Mapping[str, str]
    get: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Pages:
    """The form of an API: the records of a partition become a file of JSON lines.

    Attributes:
        read: Generator of the pages of one partition, from `api.cursor` on. When a connection
            breaks for good after some pages, materia calls it once more with the last cursor.
            Several threads may call it at once, each for a partition.
        absent: Statuses by which the API says that it has nothing for a partition, such as
            `(404,)`. Without them 404 is an error, as for an address that has moved.
    """

    read: Callable[[Api], Iterator[Page]]
    absent: tuple[int, ...] = ()
