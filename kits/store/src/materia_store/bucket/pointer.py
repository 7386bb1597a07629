"""Pointer to the published database: the state that a publish swaps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from materia.data import Table
from materia.errors import SinkError
from materia.kit.text import FILE_NAME, SHA256

from materia_store.bucket.objects import ListedObject

__all__ = [
    "Pointer",
    "decode",
    "encode",
]

DATABASES = "databases"
# A reader of a replaced database can continue for that long.
KEPT_FOR = timedelta(days=1)
# JSON keys that differ from the field names: existing buckets have them.
WRITTEN = {"fingerprint": "stamp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A database that was published earlier.

    Attributes:
        object: Its name.
        replaced_at: When another database replaced it, in UTC.
    """

    object: str
    replaced_at: datetime


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
        earlier: The database before it, and those replaced within `KEPT_FOR`; newest first.
    """

    run: str
    fingerprint: str
    published_at: datetime
    object: str
    sha256: str
    size: int
    tables: tuple[Table, ...]
    earlier: tuple[Earlier, ...] = ()


def database_name(sha256: str, file: str) -> str:
    """The object name of a database; DuckDB names the database after the last part."""
    return f"{DATABASES}/{sha256}/{file}"


def history(before: Pointer | None, *, now: datetime) -> tuple[Earlier, ...]:
    """`Pointer.earlier` for the successor of *before*."""
    if before is None:
        return ()
    recent = (one for one in before.earlier if now - one.replaced_at < KEPT_FOR)
    return (Earlier(object=before.object, replaced_at=now), *recent)


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
    values = {WRITTEN.get(name, name): value for name, value in asdict(pointer).items()}
    return (json.dumps(values, default=datetime.isoformat, indent=1) + "\n").encode()


def decode(text: bytes, where: str) -> Pointer:
    """The pointer in a text of `encode`; messages contain *where*.

    Raises:
        SinkError: it is damaged.
    """
    try:
        values = json.loads(text)
        earlier = tuple(
            Earlier(object=one["object"], replaced_at=datetime.fromisoformat(one["replaced_at"]))
            for one in values.pop("earlier")
        )
        tables = tuple(Table(**table) for table in values.pop("tables"))
        published_at = datetime.fromisoformat(values.pop("published_at"))
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


def _not_odd(pointer: Pointer) -> Pointer:
    """Raise ValueError unless its object name is valid: it becomes part of a path."""
    file = pointer.object.rpartition("/")[2]
    if not SHA256.fits(pointer.sha256) or not FILE_NAME.fits(file):
        raise ValueError(f"{pointer.sha256!r} is not {SHA256.what}")
    if pointer.object != database_name(pointer.sha256, file):
        raise ValueError(f"{pointer.object!r} is not the name of a database")
    return pointer
