"""Pointer to the published database: the state that a publish swaps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from materia.data import PublishedState, Table
from materia.errors import SinkError
from materia.kit.text import FILE_NAME, SHA256

from materia_store.bucket.objects import ListedObject

__all__ = [
    "KEPT",
    "Pointer",
    "Published",
    "decode",
    "encode",
]

DATABASES = "databases"
# A reader of a replaced database can continue for that long.
KEPT_FOR = timedelta(days=1)
KEPT = 24  # publications that can be read and restored, with the one in force
# JSON keys that differ from the field names: existing buckets have them.
WRITTEN = {"fingerprint": "stamp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A database that was published earlier.

    Attributes:
        object: Its name.
        replaced_at: When another database replaced it, in UTC.
        run: The run that published it, or the name of a rollback; these and all below are None in
            a pointer of an old materia.
        published_at: When it was published, in UTC.
        rows: Number of rows of all its tables.
        size: Its number of bytes.
        restores: For a rollback, the run that built it.
    """

    object: str
    replaced_at: datetime
    run: str | None = None
    published_at: datetime | None = None
    rows: int | None = None
    size: int | None = None
    restores: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """The pointer to the published database.

    Attributes:
        run: The run that published it.
        fingerprint: Identity of the models and the data of the build.
        published_at: When the run published it, in UTC.
        object: Object name of the database.
        sha256: SHA-256 of its bytes, in hex.
        size: Its number of bytes.
        tables: Its tables, in the requested order.
        earlier: Those before it, newest first: the last ones (`KEPT` with this one, unless the sink
            keeps fewer), and all that were replaced within `KEPT_FOR`.
        restores: For a rollback, the run that built the database.
        begun: The run that has begun to replace it, where that takes several steps; `encode` gets
            none with it.
    """

    run: str
    fingerprint: str
    published_at: datetime
    object: str
    sha256: str
    size: int
    tables: tuple[Table, ...]
    earlier: tuple[Earlier, ...] = ()
    restores: str | None = None
    begun: str | None = None


class Published(Protocol):
    """Where the sink keeps the pointer.

    Attributes:
        name: Name of the pointer, for messages.
        where: The same with its address, so that a user can find and delete it.
    """

    name: str
    where: str

    def read(self) -> tuple[Pointer | None, str | None]:
        """The pointer, or None, and a version that changes with every swap.

        Raises:
            SinkError: the pointer is damaged, or cannot be read.
        """
        ...

    def prepared(
        self, database: Path, *, run: str, tables: Sequence[str]
    ) -> AbstractContextManager[Mapping[str, int]]:
        """Prepare what a `swap` within the block needs of *database*; no reader sees it before.

        Gives the numbers of rows that it counted on the way, by table; *tables* are finished.

        Raises:
            SinkError: a table cannot be published.
        """
        ...

    def swap(self, new: Pointer, database: Path, *, expected: str | None) -> bool:
        """Replace the pointer by *new* if its version is *expected*; *database* is a local copy.

        False when another run was faster: then the pointer is as that run wrote it. When an
        answer is lost, it reads the pointer again.

        Raises:
            BusyError: another run was faster, and the message says how.
            SinkError: it cannot be written.
        """
        ...


def database_name(sha256: str, file: str) -> str:
    """The object name of a database; DuckDB names the database after the last part."""
    return f"{DATABASES}/{sha256}/{file}"


def sha256_in(name: str) -> str:
    """The SHA-256 in the object name of a database."""
    return name.split("/")[1]


def history(before: Pointer | None, *, now: datetime, kept: int = KEPT) -> tuple[Earlier, ...]:
    """`Pointer.earlier` for the successor of *before*, the last of *kept* publications."""
    if before is None:
        return ()
    replaced = Earlier(
        object=before.object,
        replaced_at=now,
        run=before.run,
        published_at=before.published_at,
        rows=sum(table.rows for table in before.tables),
        size=before.size,
        restores=before.restores,
    )
    return tuple(
        one
        for number, one in enumerate((replaced, *before.earlier), start=2)
        if number <= kept or now - one.replaced_at < KEPT_FOR
    )


def in_order(pointer: Pointer | None) -> tuple[tuple[str, PublishedState], ...]:
    """The publications that a pointer lists, newest first, each after its object name."""
    if pointer is None:
        return ()
    in_force, *_ = history(pointer, now=pointer.published_at)
    return tuple(
        (
            one.object,
            PublishedState(
                run=one.run,
                published_at=one.published_at,
                rows=one.rows or 0,
                size=one.size or 0,
                place=one.object,
                restores=one.restores,
            ),
        )
        for one in (in_force, *pointer.earlier)
        if one.run is not None and one.published_at is not None
    )


def expendable(published: Pointer, listed: Mapping[str, ListedObject]) -> list[str]:
    """The databases in *listed* that no reader and no running publish can use.

    That excludes the published database, the one before it, those replaced within `KEPT_FOR`, and
    those uploaded within `KEPT_FOR` before this publication: their run may still swap.
    """
    used = {published.object, *(one.object for one in published.earlier)}
    limit = published.published_at - KEPT_FOR
    return [
        name
        for name, found in sorted(listed.items())
        if name not in used and found.modified < limit
    ]


def encode(pointer: Pointer) -> bytes:
    """The text of a pointer; `decode` reads it."""
    values = asdict(pointer, dict_factory=_without_none)
    values = {WRITTEN.get(name, name): value for name, value in values.items()}
    return (json.dumps(values, default=datetime.isoformat, indent=1) + "\n").encode()


def decode(text: bytes, where: str) -> Pointer:
    """The pointer in a text of `encode`; messages contain *where*.

    Raises:
        SinkError: it is damaged.
    """
    try:
        values = json.loads(text)
        earlier = tuple(map(_earlier, values.pop("earlier")))
        tables = tuple(Table(**table) for table in values.pop("tables"))
        published_at = _moment(values.pop("published_at"))
        return _not_odd(
            Pointer(
                published_at=published_at,
                tables=tables,
                earlier=earlier,
                fingerprint=values.pop(WRITTEN["fingerprint"]),
                **values,
            )
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SinkError(
            f"{where}: is damaged ({type(error).__name__}: {error}); delete it, and the next run "
            "builds the database anew from the raw files"
        ) from error


def _without_none(items: Sequence[tuple[str, object]]) -> dict[str, object]:
    return {name: value for name, value in items if value is not None}


def _earlier(values: dict[str, Any]) -> Earlier:
    times = {
        name: _moment(values[name])
        for name in ("replaced_at", "published_at")
        if values.get(name) is not None
    }
    one = Earlier(**{**values, **times})
    _check_name(one.object)
    _check_values(one, one.rows)
    return one


def _not_odd(pointer: Pointer) -> Pointer:
    """Raise ValueError unless its hash is that of its object, and its values can be shown."""
    _check_name(pointer.object)
    _check_values(pointer, *(table.rows for table in pointer.tables))
    if pointer.sha256 != sha256_in(pointer.object):
        raise ValueError(f"{pointer.sha256!r} is not that of {pointer.object!r}")
    return pointer


def _check_name(name: str) -> None:
    """Raise ValueError unless it is the object name of a database: it becomes part of a path."""
    folder, sha256, file = name.split("/")
    if folder != DATABASES or not SHA256.fits(sha256) or not FILE_NAME.fits(file):
        raise ValueError(f"{name!r} is not the name of a database")


def _check_values(one: Pointer | Earlier, *rows: int | None) -> None:
    """Raise ValueError unless runs are printable text and counts are numbers: users see them."""
    runs: tuple[object, ...] = (one.run, one.restores)
    for run in runs:
        if run is not None and not (isinstance(run, str) and run.isprintable()):
            raise ValueError(f"{run!r} is not the name of a run")
    for count in (one.size, *rows):
        if count is not None and type(count) is not int:
            raise ValueError(f"{count!r} is not a number")


def _moment(text: str) -> datetime:
    """A time with its zone: it is compared with others."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return found
