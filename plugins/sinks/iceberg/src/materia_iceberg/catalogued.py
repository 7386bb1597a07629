"""State of the table `publication.run`: published tables, their run and their snapshots."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from materia.errors import SinkError
from materia.kit.sql import literal
from materia_store.bucket.pointer import Pointer, decode, encode

from materia_iceberg.catalog.table_state import PUBLICATION, TableState

NAME = "publication.run"
DESCRIPTION = "What is published, from which run, and in which snapshot of each table."
MEMORY = 60  # forget a dropped table after this many times the retention of its files
PUBLISHED, PUBLISHING = "published", "publishing"
COLUMNS = (
    ("source", "VARCHAR", "The source that the run read."),
    ("run", "VARCHAR", "The run."),
    ("state", "VARCHAR", "published, or publishing: begun, and not in force."),
    ("fingerprint", "VARCHAR", "Identity of the models and of the data they were built from."),
    ("published_at_utc", "TIMESTAMP", "When, in UTC."),
    ("table_name", "VARCHAR", "A table, as serving.prices; NULL while publishing."),
    ("rows", "BIGINT", "How many rows it has."),
    ("description", "VARCHAR", "What it is."),
    ("snapshot_id", "BIGINT", "Its snapshot: read the table AT this VERSION."),
    ("database", "VARCHAR", "Name of the DuckDB file of the same state, in the bucket."),
    ("database_sha256", "VARCHAR", "SHA-256 of that file, in hex."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InCatalog:
    """A table that is published.

    Attributes:
        name: With its layer.
        uuid: Of the table; another table of the same name has another.
        snapshot: Its snapshot.
        location: Folder of its files.
        rows: Number of rows.
        description: As it was published.
    """

    name: str
    uuid: str
    snapshot: int
    location: str
    rows: int
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A table that is no longer published, with files that still exist.

    Attributes:
        name: With its layer.
        uuid: Of the table.
        location: Folder of its files.
        since: When it was dropped, in UTC.
    """

    name: str
    uuid: str
    location: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogued:
    """One published state: the DuckDB file and the tables.

    Attributes:
        pointer: The DuckDB file in the bucket, and the run that made it.
        tables: The tables in the catalog.
        dropped: Dropped tables with files that are still to be removed.
    """

    pointer: Pointer
    tables: tuple[InCatalog, ...]
    dropped: tuple[Dropped, ...] = ()

    @property
    def source(self) -> str:
        """The sources of the published tables, which the fingerprint of the runner names.

        Its form is `psdonline+acme@pipeline:...;ecb:...`, a part for each pipeline.
        """
        parts = [one.partition(":") for one in self.pointer.fingerprint.split(";")]
        owners = [owner.partition("@")[0] for owner, colon, _ in parts if colon]
        return ", ".join(owners).replace("+", ", ")


def read_catalogued(state: TableState, where: str) -> Catalogued | None:
    """The published state in *state* of `publication.run`, or None.

    Raises:
        SinkError: it is damaged.
    """
    found = state.last_of_ours()
    text = (found or {}).get("summary", {}).get(PUBLICATION)
    return None if text is None else decoded(text, where)


def kept_snapshots(state: TableState, publications: int) -> set[int]:
    """Snapshots of all tables in the last *publications*, with those of `publication.run`.

    Among the latter are those of other programs: without them the line of snapshots would end.

    Raises:
        SinkError: one of these publications is damaged, so what it needs is unknown.
    """
    kept: set[int] = set()
    runs: set[str] = set()
    for one in state.line(state.head):
        text = (one.get("summary") or {}).get(PUBLICATION)
        if text is None:
            kept.add(int(one["snapshot-id"]))
            continue
        published = decoded(text, str(state.name))
        if len(runs | {published.pointer.run}) > publications:
            break
        runs.add(published.pointer.run)
        kept |= {table.snapshot for table in published.tables} | {int(one["snapshot-id"])}
    return kept


def published_runs(state: TableState) -> dict[str, int]:
    """The oldest snapshot of `publication.run` that says of a run that it is published.

    Raises:
        SinkError: a publication is damaged.
    """
    found: dict[str, int] = {}
    for one in state.line(state.head):
        text = (one.get("summary") or {}).get(PUBLICATION)
        if text is not None:
            found[decoded(text, str(state.name)).pointer.run] = int(one["snapshot-id"])
    return found


def gone_after(before: Catalogued | None, tables: Sequence[InCatalog]) -> tuple[InCatalog, ...]:
    """The tables of *before* that are not among *tables*, nor is another one in their folder."""
    uuids, folders = _known(tables)
    return tuple(
        one
        for one in (before.tables if before else ())
        if one.uuid not in uuids and one.location not in folders
    )


def dropped_after(
    before: Catalogued | None,
    tables: Sequence[InCatalog],
    gone: Iterable[InCatalog],
    *,
    now: datetime,
    kept_for: timedelta,
) -> tuple[Dropped, ...]:
    """`Catalogued.dropped` for the successor of *before*, which drops the tables *gone*."""
    uuids, folders = _known(tables)
    # Kept that long, so that some run removes their files.
    late = (
        one
        for one in (before.dropped if before else ())
        if now - one.since < MEMORY * kept_for
        and one.uuid not in uuids
        and one.location not in folders
    )
    return (
        *(Dropped(name=one.name, uuid=one.uuid, location=one.location, since=now) for one in gone),
        *late,
    )


def _known(tables: Sequence[InCatalog]) -> tuple[set[str], set[str]]:
    return {one.uuid for one in tables}, {one.location for one in tables}


def encoded(one: Catalogued) -> str:
    """The text for the summary of a snapshot; `decoded` reads it."""
    return json.dumps(
        {
            "pointer": json.loads(encode(one.pointer)),
            "tables": [asdict(table) for table in one.tables],
            "dropped": [asdict(dropped) for dropped in one.dropped],
        },
        default=datetime.isoformat,
        separators=(",", ":"),
    )


def decoded(text: str, where: str) -> Catalogued:
    """The state in a text of `encoded`.

    Raises:
        SinkError: it is damaged.
    """
    try:
        values = json.loads(text)
        pointer = json.dumps(values["pointer"]).encode()
        tables = tuple(
            InCatalog(**{**table, "snapshot": int(table["snapshot"]), "rows": int(table["rows"])})
            for table in values["tables"]
        )
        dropped = tuple(
            Dropped(**{**one, "since": datetime.fromisoformat(one["since"])})
            for one in values["dropped"]
        )
    except (ValueError, LookupError, TypeError) as error:
        raise SinkError(
            f"{where}: is damaged ({type(error).__name__}); drop the table, and the next run "
            "publishes everything anew"
        ) from error
    return Catalogued(pointer=decode(pointer, where), tables=tables, dropped=dropped)


def rows_query(published: Catalogued | None, publishing: Catalogued | None = None) -> str:
    """SQL for the rows of `publication.run`; *publishing* has begun and is not in force yet."""
    rows = [*_rows(published)] if published else []
    if publishing is not None:
        rows.append(_values(publishing, PUBLISHING, {}))
    names = ", ".join(name for name, _, _ in COLUMNS)
    casts = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind, _ in COLUMNS)
    if not rows:
        nothing = ", ".join("NULL" for _ in COLUMNS)
        return f"SELECT {casts} FROM (VALUES ({nothing})) AS t({names}) WHERE false"
    values = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
    return f"SELECT {casts} FROM (VALUES {values}) AS t({names})"


def _rows(published: Catalogued) -> Sequence[Sequence[Any]]:
    return [
        _values(
            published,
            PUBLISHED,
            {
                "table_name": table.name,
                "rows": table.rows,
                "description": table.description,
                "snapshot_id": table.snapshot,
            },
        )
        for table in published.tables
    ] or [_values(published, PUBLISHED, {})]


def _values(one: Catalogued, state: str, table: Mapping[str, Any]) -> Sequence[Any]:
    pointer = one.pointer
    values = {
        "source": one.source,
        "run": pointer.run,
        "state": state,
        "fingerprint": pointer.fingerprint,
        "published_at_utc": pointer.published_at.replace(tzinfo=None),
        "database": pointer.object,
        "database_sha256": pointer.sha256,
        **table,
    }
    return [values.get(name) for name, _, _ in COLUMNS]
