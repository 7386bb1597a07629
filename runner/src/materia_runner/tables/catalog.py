"""Catalog of a published database: tables, columns, comments, row counts, lineage and audits.

Lineage and audits are those in SQLMesh's state, which a database that materia publishes contains.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from materia_runner.tables.owners import is_worth_telling, sources_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

HIDDEN = (
    "NOT starts_with(schema_name, 'sqlmesh') AND schema_name NOT IN ('publication', 'ownership')"
)
HERE = "database_name = current_database() AND NOT internal"
LAYERS = ("serving", "cleaned", "staging", "raw")
WARNS = "_non_blocking"  # the ending of the audits that only warn


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column, with its type and its comment; the comment may be empty."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """An audit of a model.

    Attributes:
        name: Name of the audit.
        arguments: What it is called with, as text; may be empty.
        blocking: Whether it stops the run; otherwise it warns.
    """

    name: str
    arguments: str
    blocking: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model in SQLMesh's state: its kind, the tables it reads, and its audits."""

    kind: str
    reads: tuple[str, ...]
    audits: tuple[Audit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogTable:
    """A table or view.

    Attributes:
        name: Name with its schema.
        is_view: Whether it is a view.
        rows: Number of rows; None for a view that was not counted when it was published.
        description: Its comment; may be empty.
        columns: Its columns in their order.
    """

    name: str
    is_view: bool
    rows: int | None
    description: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What a published database contains.

    Attributes:
        run: Identity of the run that published it; empty when it is not recorded.
        published_at: When, in UTC, or None.
        tables: Its tables and views: those that were published, the last layer first, then the
            others.
        models: Models by name; None when the database has no readable state of SQLMesh.
        sources: The source of each table by its name, when there is more than one; otherwise empty.
    """

    run: str
    published_at: datetime | None
    tables: tuple[CatalogTable, ...]
    models: Mapping[str, Model] | None
    sources: Mapping[str, str] = field(default_factory=dict)


def read_catalog(connection: DuckDBPyConnection) -> Catalog:
    """The catalog of the open database; it counts no view.

    Raises:
        duckdb.Error: the database is damaged.
    """
    run, published_at, counted = _publication(connection)
    found = connection.execute(
        f"SELECT schema_name, table_name, false, comment FROM duckdb_tables() WHERE {HERE} "
        f"AND {HIDDEN} UNION ALL "
        f"SELECT schema_name, view_name, true, comment FROM duckdb_views() WHERE {HERE} "
        f"AND {HIDDEN} ORDER BY ALL"
    ).fetchall()
    columns: dict[str, list[Column]] = {}
    for schema, table, name, kind, comment in connection.execute(
        "SELECT schema_name, table_name, column_name, data_type, comment FROM duckdb_columns() "
        f"WHERE {HERE} AND {HIDDEN} ORDER BY schema_name, table_name, column_index"
    ).fetchall():
        of_table = columns.setdefault(f"{schema}.{table}", [])
        of_table.append(Column(name=name, type=kind, comment=comment or ""))
    tables = [
        CatalogTable(
            name=name,
            is_view=is_view,
            rows=counted[name] if name in counted else _count(connection, schema, table, is_view),
            description=comment or "",
            columns=tuple(columns.get(name, ())),
        )
        for schema, table, is_view, comment in found
        for name in (f"{schema}.{table}",)
    ]
    tables.sort(key=lambda table: (table.name not in counted, _layer(table.name), table.name))
    sources = sources_of(connection)
    return Catalog(
        run=run,
        published_at=published_at,
        tables=tuple(tables),
        models=_models(connection),
        sources=sources if is_worth_telling(sources) else {},
    )


def _layer(name: str) -> int:
    schema = name.partition(".")[0]
    return LAYERS.index(schema) if schema in LAYERS else len(LAYERS)


def _publication(
    connection: DuckDBPyConnection,
) -> tuple[str, datetime | None, dict[str, int]]:
    """The run, the time and the row counts of the publication, where they are recorded."""
    import duckdb

    try:
        row = connection.execute("SELECT run, published_at_utc FROM publication.run").fetchone()
        counts = connection.execute(
            "SELECT name, rows FROM publication.tables ORDER BY position"
        ).fetchall()
    except duckdb.CatalogException:  # a sink of others records it elsewhere
        return "", None, {}
    run, at = row or ("", None)
    return run, at.replace(tzinfo=UTC) if isinstance(at, datetime) else None, dict(counts)


def _count(
    connection: DuckDBPyConnection,
    schema: str,
    table: str,
    is_view: bool,  # noqa: FBT001 -- a column of the row it comes from
) -> int | None:
    if is_view:  # a view over all releases would take minutes
        return None
    quoted = ".".join('"' + part.replace('"', '""') + '"' for part in (schema, table))
    row = connection.execute(f"SELECT count(*) FROM {quoted}").fetchone()
    return int(row[0]) if row else None


def _models(connection: DuckDBPyConnection) -> dict[str, Model] | None:
    """The models of every pipeline: each has a state of its own."""
    states = connection.execute(
        f"SELECT DISTINCT schema_name FROM duckdb_tables() WHERE {HERE} "
        "AND regexp_full_match(schema_name, 'sqlmesh(_[0-9]+)?') ORDER BY ALL"
    ).fetchall()
    found = [_models_in(connection, str(state)) for (state,) in states]
    if not found or None in found:
        return None
    return {name: model for models in found for name, model in (models or {}).items()}


def _models_in(connection: DuckDBPyConnection, state: str) -> dict[str, Model] | None:
    import duckdb

    try:
        current = connection.execute(
            f"SELECT snapshots FROM {state}._environments WHERE name = 'prod'"
        ).fetchone()
        stored = connection.execute(f"SELECT snapshot FROM {state}._snapshots").fetchall()
        wanted = [(one["name"], one["fingerprint"]) for one in json.loads(current[0])]  # type: ignore[index]  # caught
        snapshots = [json.loads(snapshot) for (snapshot,) in stored]
        return {
            str(one["node"]["name"]): _model(one["node"], one["parents"])
            for one in snapshots
            if (one["name"], one["fingerprint"]) in wanted
        }
    # The state belongs to SQLMesh: another version may write another one.
    except (duckdb.Error, ValueError, KeyError, TypeError, AttributeError):
        return None


def _model(node: Mapping[str, Any], parents: Sequence[Mapping[str, str]]) -> Model:
    return Model(
        kind=str(node["kind"]["name"]),
        reads=tuple(sorted(_without_catalog(parent["name"]) for parent in parents)),
        audits=tuple(
            _audit(name, arguments, node.get("audit_definitions") or {})
            for name, arguments in node.get("audits") or ()
        ),
    )


def _without_catalog(name: str) -> str:
    """The name of a table in SQLMesh's state, `"materia"."raw"."lines"`, as `raw.lines`."""
    return ".".join(part.strip('"') for part in name.split('"."')[-2:])


def _audit(
    name: str, arguments: Mapping[str, str], definitions: Mapping[str, Mapping[str, Any]]
) -> Audit:
    definition = definitions.get(name, {})
    blocking = arguments.get("blocking", definition.get("blocking", not name.endswith(WARNS)))
    shown: Sequence[str] = [
        f"{key} {value}" for key, value in arguments.items() if key != "blocking"
    ]
    return Audit(
        name=name.removesuffix(WARNS),
        arguments=", ".join(shown),
        blocking=str(blocking).lower() not in {"false", "0"},
    )
