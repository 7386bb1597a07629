"""First build: the SQL statements that give a database without models their tables and views.

They leave SQLMesh's state as its own first build does, but with no interval built, and all tables
but those of seeds empty; the replay of a recorded build does the rest.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from materia.kit.sql import literal

from materia_runner.worker.sqlmesh.recorded.recorded_build import (
    SEED,
    FetchAll,
    NotRecordedError,
    RecordedBuild,
)
from materia_runner.worker.sqlmesh.state import STATE

# What differs from one build to the next, in the statements about SQLMesh's state.
NOW, PLAN = "{milliseconds of the build}", "{identity of the plan}"
INTERVALS = "_intervals"
# Tables of the state that a first build fills, besides that of the intervals.
FILLED = frozenset({"_environments", "_snapshots", "_versions"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstBuild:
    """What comes before the statements of a recorded build in a database without models.

    Attributes:
        statements: SQL without the time of the build.
        starts: First day of each model and seed, in milliseconds since 1970, by its name in the
            SQLMesh state.
    """

    statements: tuple[str, ...]
    starts: Mapping[str, int]

    def filled(self, now: int) -> Iterator[str]:
        """The statements for a build at *now*, in milliseconds since 1970."""
        plan = uuid.uuid4().hex
        for statement in self.statements:
            if statement.startswith(f"INSERT INTO {STATE}."):
                yield statement.replace(NOW, f"{now}").replace(PLAN, plan)
            else:
                yield statement


def has_no_models(fetchall: FetchAll) -> bool:
    """Whether a database has neither a SQLMesh state nor tables of one."""
    return not fetchall(
        "SELECT schema_name FROM duckdb_schemas() WHERE database_name = current_database() "
        f"AND (schema_name = {literal(STATE)} OR starts_with(schema_name, {literal(f'{STATE}__')}))"
    )


def first_build_of(fetchall: FetchAll, build: RecordedBuild) -> FirstBuild:
    """What SQLMesh's first build, which was *build*, left in a database that was just opened.

    Raises:
        NotRecordedError: it was not the first one, or SQLMesh's state has more than that needs.
    """
    objects = {
        f"{schema}.{name}": (kind, schema, name, comment)
        for kind, schema, name, comment in fetchall(
            "SELECT 'TABLE', schema_name, table_name, comment FROM duckdb_tables() "
            "WHERE database_name = current_database() UNION ALL "
            "SELECT 'VIEW', schema_name, view_name, comment FROM duckdb_views() "
            "WHERE NOT internal AND database_name = current_database()"
        )
    }
    schemas = {objects[name][1] for name in build.definitions}
    statements = [
        f"CREATE SCHEMA IF NOT EXISTS {_quoted(one)}" for one in sorted({*schemas, STATE})
    ]
    statements += _state(fetchall)
    seeds = {f"__{model.version}" for model in build.models if model.kind == SEED}
    for name, definition in build.definitions.items():
        kind, schema, table, comment = objects[name]
        statements.append(build.as_made.get(name, definition))
        if kind == "TABLE" and any(map(table.endswith, seeds)):
            statements += _rows(fetchall, schema, table)
        if comment is not None:
            statements.append(f"COMMENT ON {kind} {_named(schema, table)} IS {literal(comment)}")
        statements += _column_comments(fetchall, schema, table)
    spans = fetchall(
        f"SELECT name, min(start_ts), count(*), bool_or(is_removed) FROM {STATE}.{INTERVALS} "
        "GROUP BY name ORDER BY name"
    )
    if {node for node, *_ in spans} != {model.node for model in build.models} or any(
        (count, is_removed) != (1, False) for _, _, count, is_removed in spans
    ):
        raise NotRecordedError(INTERVALS)
    return FirstBuild(
        statements=tuple(statements), starts={node: start for node, start, *_ in spans}
    )


def _state(fetchall: FetchAll) -> Iterator[str]:
    tables = fetchall(
        "SELECT table_name, sql FROM duckdb_tables() WHERE database_name = current_database() "
        f"AND schema_name = {literal(STATE)} AND NOT starts_with(table_name, '_materia_') "
        "ORDER BY table_name"
    )
    for table, definition in tables:
        yield definition
        rows = fetchall(f"SELECT to_json(one)::VARCHAR FROM {STATE}.{_quoted(table)} AS one")
        if rows and table not in {*FILLED, INTERVALS}:
            raise NotRecordedError(table)
        if table in FILLED:
            for row in sorted(_timeless(json.loads(text)) for (text,) in rows):
                yield f"INSERT INTO {STATE}.{_quoted(table)} BY NAME SELECT {row}"


def _timeless(row: Mapping[str, Any]) -> str:
    """The columns of a row of the state, for any time and in the same order at any time."""
    return ", ".join(f"{_value(name, value)} AS {_quoted(name)}" for name, value in row.items())


def _value(column: str, value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "NULL", True: "true", False: "false"}[value]
    if column == "plan_id":
        return literal(PLAN)
    if isinstance(value, int):
        return NOW if column.endswith("_ts") else f"{value}"
    if isinstance(value, str) and value[:1] in {"{", "["}:
        text = json.dumps(_in_order(json.loads(value)), ensure_ascii=False, separators=(",", ":"))
        return literal(text.replace(f'"{NOW}"', NOW))
    return literal(str(value))


def _in_order(value: Any) -> Any:
    """*value* without times, and the sets that SQLMesh writes in any order in one order.

    Those are the nodes that a node depends on, the audits that it has, and the tables that it
    reads; the columns of a table stay in their order.
    """
    if isinstance(value, list):
        found = [_in_order(one) for one in value]
        are_nodes = all(isinstance(one, dict) and "name" in one for one in found)
        return sorted(found, key=json.dumps) if are_nodes else found
    if not isinstance(value, dict):
        return value
    values = {key: _in_order(one) for key, one in value.items()}
    if all(isinstance(one, dict) for one in values.values()):
        return dict(sorted(values.items()))
    if "depends_on" in values:
        values["depends_on"] = sorted(values["depends_on"] or ())
    if isinstance(values.get("created_ts"), int):
        values["created_ts"] = NOW
    return values


def _rows(fetchall: FetchAll, schema: str, table: str) -> Iterator[str]:
    """The rows of a seed, as text that DuckDB turns into the type of each column."""
    rows = fetchall(f"SELECT COLUMNS(*)::VARCHAR FROM {_named(schema, table)} ORDER BY ALL")
    if rows:
        listed = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
        yield f"INSERT INTO {_named(schema, table)} VALUES {listed}"


def _column_comments(fetchall: FetchAll, schema: str, table: str) -> Iterator[str]:
    rows: Sequence[tuple[Any, ...]] = fetchall(
        "SELECT column_name, comment FROM duckdb_columns() WHERE comment IS NOT NULL "
        f"AND database_name = current_database() AND schema_name = {literal(schema)} "
        f"AND table_name = {literal(table)} ORDER BY column_index"
    )
    for column, comment in rows:
        named = f"{_named(schema, table)}.{_quoted(column)}"
        yield f"COMMENT ON COLUMN {named} IS {literal(comment)}"


def _named(schema: str, table: str) -> str:
    return f"{_quoted(schema)}.{_quoted(table)}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
