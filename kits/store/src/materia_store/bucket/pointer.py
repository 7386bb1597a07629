"""What is published: which database, by which run, and which databases nobody reads any more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from materia.data import Table
from materia.errors import SinkError
from materia.forms import FILE_NAME, SHA256

from materia_store.bucket.objects import Found

DATABASES = "databases"
# Who began to read a database may go on for that long after another took its place.
KEPT_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A database that was published before.

    Attributes:
        object: Its name.
        replaced_at: When another took its place, in UTC.
    """

    object: str
    replaced_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """What is published.

    Attributes:
        run: The run that published it.
        stamp: Identity of the models and the data it was built from.
        published_at: In UTC.
        object: Name of the database.
        sha256: Of its bytes, in hex.
        size: Its bytes.
        tables: In the order they were asked to be published in.
        earlier: The one before it, and those that were replaced within `KEPT_FOR`; newest first.
    """

    run: str
    stamp: str
    published_at: datetime
    object: str
    sha256: str
    size: int
    tables: tuple[Table, ...]
    earlier: tuple[Earlier, ...] = ()


def database_name(sha256: str, file: str) -> str:
    """Name of the object of a database; how it ends is what DuckDB calls the database."""
    return f"{DATABASES}/{sha256}/{file}"


def history(before: Pointer | None, *, now: datetime) -> tuple[Earlier, ...]:
    """`Pointer.earlier` of what takes the place of *before*."""
    if before is None:
        return ()
    recent = (one for one in before.earlier if now - one.replaced_at < KEPT_FOR)
    return (Earlier(object=before.object, replaced_at=now), *recent)


def expendable(published: Pointer, listed: Mapping[str, Found]) -> list[str]:
    """Which of the databases *listed* nobody can be reading or about to publish.

    All but what is published, what was until `KEPT_FOR` ago or just before, and what was uploaded
    since `KEPT_FOR` before this publication: that may be of a run that is still to swap.
    """
    used = {published.object, *(one.object for one in published.earlier)}
    limit = published.published_at - KEPT_FOR
    return [
        name
        for name, found in sorted(listed.items())
        if name not in used and found.modified < limit
    ]


def encode(pointer: Pointer) -> bytes:
    """A text that `decode` reads."""
    return (json.dumps(asdict(pointer), default=datetime.isoformat, indent=1) + "\n").encode()


def decode(text: bytes, where: str) -> Pointer:
    """What a text of `encode` says; *where* it was read stands in messages.

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
            Pointer(published_at=published_at, tables=tables, earlier=earlier, **values)
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SinkError(
            f"{where}: is damaged ({type(error).__name__}: {error}); delete it, and the next run "
            "builds the database anew from the raw files"
        ) from error


def _not_odd(pointer: Pointer) -> Pointer:
    """Raise ValueError unless it names a database as `database_name` does: a path is made of it."""
    file = pointer.object.rpartition("/")[2]
    if not SHA256.fits(pointer.sha256) or not FILE_NAME.fits(file):
        raise ValueError(f"{pointer.sha256!r} is not {SHA256.what}")
    if pointer.object != database_name(pointer.sha256, file):
        raise ValueError(f"{pointer.object!r} is no name of a database")
    return pointer
