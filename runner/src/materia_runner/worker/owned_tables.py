"""Record of who made what in a database: its raw tables and models by pipeline and source.

It is in the schema `ownership` of the published database, and is published with it. A database may
come from anywhere: a record that cannot be read counts as missing, and names in it are quoted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from materia.kit.sql import LOCKED, literal

from materia_runner.worker.ownership import Claim
from materia_runner.worker.sqlmesh.state import STATE, drop_state

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SCHEMA = "ownership"
_STATE = re.compile(rf"{STATE}(_[0-9]+)?")
MODEL, LOADING, WORKING = "model", "loading", "working"
# What DROP calls the objects of a source, in the order to drop them.
KINDS = ("VIEW", "MACRO TABLE", "MACRO", "TABLE")
_OBJECTS = f"""
SELECT * FROM (
  SELECT 'TABLE' AS kind, schema_name AS schema, table_name AS name FROM duckdb_tables()
  WHERE database_name = current_database()
  UNION
  SELECT 'VIEW', schema_name, view_name FROM duckdb_views()
  WHERE NOT internal AND database_name = current_database()
    AND NOT regexp_matches(sql, '"?{STATE}(_[0-9]+)?__')
  UNION
  SELECT IF(function_type = 'macro', 'MACRO', 'MACRO TABLE'), schema_name, function_name
  FROM duckdb_functions()
  WHERE NOT internal AND database_name = current_database()
    AND function_type IN ('macro', 'table_macro')
)
WHERE NOT regexp_matches(schema, '^{STATE}(_[0-9]+)?(__.*)?$')
  AND schema NOT IN ('publication', '{SCHEMA}')
"""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Owned:
    """Something in a database that a pipeline made.

    Attributes:
        pipeline: Name of the pipeline.
        source: Name of the source that it belongs to; empty for the pipeline's own project.
        kind: `model` for a published table; what DROP calls it for an object of the raw layer;
            `working` and `loading` for marks: what the working copy is for, and which load began.
        schema: Name of its schema.
        name: Name of it.
    """

    pipeline: str
    source: str
    kind: str
    schema: str
    name: str


Found = tuple[str, str, str]  # kind, schema and name


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Who made what.

    Attributes:
        states: Schema of each pipeline's SQLMesh state, by the name of the pipeline.
        owned: All objects with an owner.
    """

    states: tuple[tuple[str, str], ...] = ()
    owned: tuple[Owned, ...] = ()

    def state_of(self, pipeline: str) -> str:
        """The schema of a pipeline's SQLMesh state; for a new pipeline, one that is free."""
        states = dict(self.states)
        free = (f"{STATE}_{number}" for number in range(2, len(states) + 3))
        taken = set(states.values())
        return states.get(pipeline) or next(one for one in [STATE, *free] if one not in taken)

    def of(self, pipeline: str, source: str) -> tuple[Owned, ...]:
        """What a source of a pipeline made in the raw layer."""
        return tuple(
            one
            for one in self.owned
            if (one.pipeline, one.source) == (pipeline, source) and one.kind in KINDS
        )

    def models(self, pipelines: Collection[str]) -> dict[str, str]:
        """The source of each published table of some pipelines, by its name."""
        return {
            f"{one.schema}.{one.name}": one.source
            for one in self.owned
            if one.kind == MODEL and one.pipeline in pipelines
        }

    def published(self, pipelines: Collection[str]) -> dict[str, list[str]]:
        """The published tables of some pipelines by source, sorted."""
        found: dict[str, list[str]] = {}
        for name, source in sorted(self.models(pipelines).items()):
            found.setdefault(source, []).append(name)
        return found

    def renamed(self, old: Iterable[str], new: str) -> tuple[Record, list[str]]:
        """The record after *new* has taken over what the pipelines *old* made.

        One state goes on; the second value has the schemas of the others, to be dropped.
        """
        names = {*old, new}
        owned = [replace(one, pipeline=new) if one.pipeline in names else one for one in self.owned]
        states = dict(self.states)
        mine = sorted(states.pop(name) for name in names if name in states)
        if mine:
            states[new] = mine[0]
        return Record(states=tuple(states.items()), owned=tuple(owned)), mine[1:]

    def noting(self, owned: Iterable[Owned]) -> Record:
        """The record with more objects."""
        return replace(self, owned=tuple(sorted({*self.owned, *owned})))

    def without(self, drop: Callable[[Owned], bool]) -> Record:
        """The record without what *drop* is true of."""
        return replace(self, owned=tuple(one for one in self.owned if not drop(one)))


def read_record(database: Path, claims: Sequence[Claim], published: Sequence[str]) -> Record:
    """The record in a database.

    An earlier version kept none and had one source in a database: everything there is of that.

    Args:
        database: The file, which may be missing.
        claims: What the published fingerprint says.
        published: Names of the published tables.
    """
    import duckdb

    if not database.exists():
        return Record()
    with duckdb.connect(str(database.resolve()), read_only=True, config=dict(LOCKED)) as connection:
        try:
            states = connection.execute(f"SELECT pipeline, state FROM {SCHEMA}.pipelines")
            pairs = [(str(name), str(state)) for name, state in states.fetchall()]
            rows = connection.execute(
                f"SELECT pipeline, source, kind, schema, name FROM {SCHEMA}.objects ORDER BY ALL"
            ).fetchall()
        except duckdb.Error:
            return _of_an_earlier_version(connection, claims, published)
    owned = [
        Owned(pipeline=pipeline, source=source, kind=kind, schema=schema, name=name)
        for pipeline, source, kind, schema, name in (map(str, row) for row in rows)
        if kind in {*KINDS, MODEL, LOADING, WORKING}
    ]
    right = [(name, state) for name, state in pairs if _STATE.fullmatch(state)]
    return Record(states=tuple(right), owned=tuple(owned))


def _of_an_earlier_version(
    connection: DuckDBPyConnection, claims: Sequence[Claim], published: Sequence[str]
) -> Record:
    if len(claims) != 1 or len(claims[0].sources) != 1:
        return Record()
    (claim,) = claims
    (source,) = claim.sources
    pipeline = claim.pipeline
    raw = [
        Owned(pipeline=pipeline, source=source, kind=kind, schema=schema, name=name)
        for kind, schema, name in connection.execute(_OBJECTS).fetchall()
    ]
    models = [model_of(pipeline, "", name) for name in published]
    return Record(states=((pipeline, STATE),), owned=(*raw, *models))


def model_of(pipeline: str, source: str, table: str) -> Owned:
    """The record of a published table."""
    schema, _, name = table.rpartition(".")
    return Owned(pipeline=pipeline, source=source, kind=MODEL, schema=schema, name=name)


def write_record(database: Path, record: Record) -> None:
    """Write the record into a working copy, in one transaction."""
    import duckdb

    rows = [(one.pipeline, one.source, one.kind, one.schema, one.name) for one in record.owned]
    with duckdb.connect(str(database)) as connection:
        connection.begin()
        connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
        for name, columns, values, text in (
            (
                "pipelines",
                ("pipeline", "state"),
                record.states,
                "The pipelines that publish in this database, and the schemas of their state.",
            ),
            (
                "objects",
                ("pipeline", "source", "kind", "schema", "name"),
                rows,
                "What each pipeline and source made in this database.",
            ),
        ):
            table = f"{SCHEMA}.{name}"
            written = ", ".join(f"{column} TEXT NOT NULL" for column in columns)
            connection.execute(f"CREATE TABLE {table} ({written})")
            if values:
                listed = ", ".join(f"({', '.join(map(literal, one))})" for one in values)
                connection.execute(f"INSERT INTO {table} VALUES {listed}")
            connection.execute(f"COMMENT ON TABLE {table} IS {literal(text)}")
        connection.commit()


def objects_in(database: Path) -> set[Found]:
    """The tables, views and macros in a database, besides those of SQLMesh and of materia."""
    import duckdb

    if not database.exists():
        return set()
    with duckdb.connect(str(database)) as connection:
        return set(connection.execute(_OBJECTS).fetchall())


def drop_objects(connection: Any, owned: Iterable[Owned]) -> None:
    """Drop what a source made in the raw layer; what is gone already is no error."""
    there = set(connection.execute(_OBJECTS).fetchall())
    for one in sorted(owned, key=lambda one: KINDS.index(one.kind)):
        if (one.kind, one.schema, one.name) in there:
            connection.execute(f"DROP {one.kind} {quoted(one.schema)}.{quoted(one.name)}")


def drop_states(database: Path, states: Iterable[str]) -> None:
    """Drop SQLMesh states, and the tables and views that were built with them."""
    import duckdb

    with duckdb.connect(str(database)) as connection:
        for state in states:
            drop_state(
                connection.execute,
                lambda sql: connection.execute(sql).fetchall(),
                "another pipeline goes on with its tables",
                state,
            )


def drop_built(connection: Any, state: str, tables: Iterable[str]) -> None:
    """Drop the tables that SQLMesh built for models which are gone, and its memory of them.

    If such a model comes back it is a new one.
    """
    from materia_sqlmesh.duckdb_settings import CATALOG

    built = connection.execute(
        "SELECT 'TABLE', schema_name, table_name FROM duckdb_tables() "
        "WHERE database_name = current_database() UNION ALL "
        "SELECT 'VIEW', schema_name, view_name FROM duckdb_views() "
        "WHERE NOT internal AND database_name = current_database()"
    ).fetchall()
    for table in tables:
        version = re.compile(re.escape(table.replace(".", "__")) + r"__[0-9]+(__[a-z]+)?")
        for kind, schema, name in built:
            if schema.startswith(f"{state}__") and version.fullmatch(name):
                connection.execute(f"DROP {kind} IF EXISTS {quoted(schema)}.{quoted(name)}")
        full = literal(".".join(map(quoted, (CATALOG, *table.split(".")))))
        for memory in ("_snapshots", "_intervals"):
            connection.execute(f"DELETE FROM {state}.{memory} WHERE name = {full}")


def quoted(name: str) -> str:
    """*name* as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
