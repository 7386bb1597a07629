"""Security check of DuckDB views and macros: refuse those that read files, URLs or settings.

A database comes from the machine that built it, but its views run where it is read, with the rights
of its reader. So a published database must be self-contained: a view reads tables and views of its
own database, and uses table functions that only compute.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from materia._dataclass import dataclass
from materia.errors import SinkError
from materia.kit.sql import literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = [
    "refuse_reaching_out",
]

# Table functions of DuckDB 1.5 that read only their arguments.
COMPUTING = frozenset(
    {"generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest"}
)
# Scalar functions that read more than their arguments.
REACHING = frozenset(
    {"current_query", "current_setting", "getenv", "getvariable", "which_secret", "write_log"}
)
REMEDY = "make it a table, or let it read only tables of the same database"
Name = tuple[str, str]  # schema and name, in lower case, as DuckDB ignores case


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """The names that a database defines.

    Attributes:
        catalog: Name of the database.
        tables: Names of its tables and views.
        macros: Names of its macros.
        internal: Names of DuckDB's own views, without their schema.
    """

    catalog: str
    tables: frozenset[Name]
    macros: frozenset[Name]
    internal: frozenset[str]


def refuse_reaching_out(
    connection: DuckDBPyConnection, where: object, *, remedy: str = REMEDY
) -> None:
    """Refuse a database whose views, macros, defaults or checks read anything outside of it.

    It only parses the definitions and runs none. *where* and *remedy* are for the message.

    Raises:
        SinkError: a definition reads something outside the database, or cannot be parsed.
    """
    own = _own(connection)
    for what, sql in _definitions(connection):
        try:
            reached = next(_reached(_parsed(connection, sql), own), None)
        except (ValueError, RecursionError):
            reached = "something that cannot be parsed"
        if reached is not None:
            raise SinkError(f"{where}: {what} reads outside the database: {reached}; {remedy}")


def _own(connection: DuckDBPyConnection) -> _Own:
    catalog = connection.execute("SELECT current_database()").fetchone()
    tables = connection.execute(
        "SELECT lower(schema_name), lower(table_name) FROM duckdb_tables() "
        "WHERE database_name = current_database() UNION ALL "
        "SELECT lower(schema_name), lower(view_name) FROM duckdb_views() "
        "WHERE database_name = current_database() AND NOT internal"
    ).fetchall()
    macros = connection.execute(
        "SELECT lower(schema_name), lower(function_name) FROM duckdb_functions() "
        "WHERE database_name = current_database() AND NOT internal"
    ).fetchall()
    internal = connection.execute(
        "SELECT DISTINCT lower(view_name) FROM duckdb_views() WHERE internal"
    ).fetchall()
    return _Own(
        catalog=str(catalog[0]).lower() if catalog else "",
        tables=frozenset(tables),
        macros=frozenset(macros),
        internal=frozenset(name for (name,) in internal),
    )


def _definitions(connection: DuckDBPyConnection) -> Iterator[tuple[str, str]]:
    """Views, macros, defaults and checks: a name for messages, and the SELECT that each runs."""
    views = connection.execute(
        "SELECT schema_name, view_name, sql FROM duckdb_views() "
        "WHERE database_name = current_database() AND NOT internal ORDER BY ALL"
    ).fetchall()
    for schema, view, sql in views:
        yield f"the view {schema}.{view}", _body(sql)
    macros = connection.execute(
        "SELECT schema_name, function_name, function_type, macro_definition "
        "FROM duckdb_functions() "
        "WHERE database_name = current_database() AND NOT internal ORDER BY ALL"
    ).fetchall()
    for schema, macro, kind, definition in macros:
        sql = definition if kind == "table_macro" else f"SELECT {definition}"
        yield f"the macro {schema}.{macro}", sql

    columns = connection.execute(
        "SELECT schema_name, table_name, column_name, column_default FROM duckdb_columns() "
        "WHERE database_name = current_database() AND column_default IS NOT NULL AND NOT internal "
        "ORDER BY ALL"
    ).fetchall()
    for schema, table, column, value in columns:
        yield f"the column {schema}.{table}.{column}", f"SELECT {value}"
    checks = connection.execute(
        "SELECT schema_name, table_name, expression FROM duckdb_constraints() "
        "WHERE database_name = current_database() AND constraint_type = 'CHECK' ORDER BY ALL"
    ).fetchall()
    for schema, table, condition in checks:
        yield f"a check of {schema}.{table}", f"SELECT {condition}"


def _body(sql: str) -> str:
    """The SELECT of a CREATE VIEW statement, after `AS`; quoted names are single tokens."""
    import duckdb

    text = sql.encode()
    places = [place for place, _ in duckdb.tokenize(sql)]
    for place in places:
        if text[place : place + 3].upper() in {b"AS ", b"AS("}:
            return text[place + 2 :].decode()
    return ""


def _parsed(connection: DuckDBPyConnection, sql: str) -> Any:
    row = connection.execute(f"SELECT json_serialize_sql({literal(sql)})").fetchone()
    found = json.loads(row[0]) if row else {}
    if found.get("error") is not False or not found["statements"]:
        raise ValueError("no SELECT")
    return found["statements"]


def _reached(statements: Any, own: _Own) -> Iterator[str]:
    """The names in *statements* that are outside the database."""
    parts = list(_parts(statements))
    named = {name.lower() for part in parts for name in _named(part)}
    yield from (f"{name!r}" for name in sorted(named & own.internal))
    yield from (f"{name!r}" for name in sorted(named) if not name.isidentifier())
    for part in parts:
        kind = part.get("type")
        if kind == "BASE_TABLE":
            yield from _foreign_table(part, named, own)
        elif kind == "TABLE_FUNCTION":
            yield from _foreign_function(part["function"], own)
        elif kind == "SHOW_REF":
            yield "a description of tables"
        elif str(part.get("function_name", "")).lower() in REACHING:
            yield f"{part['function_name']}()"


def _foreign_table(part: dict[str, Any], named: set[str], own: _Own) -> Iterator[str]:
    catalog, schema, table = (
        str(part[name]).lower() for name in ("catalog_name", "schema_name", "table_name")
    )
    if not catalog and not schema and table in named:
        return
    if catalog not in {"", own.catalog} or (schema or "main", table) not in own.tables:
        yield ".".join(repr(name) for name in (catalog, schema, table) if name)


def _foreign_function(function: dict[str, Any], own: _Own) -> Iterator[str]:
    name = str(function.get("function_name", "")).lower()
    schema = str(function.get("schema", "")).lower()
    if (schema or "main", name) not in own.macros and name not in COMPUTING:
        yield f"{name}()"


def _named(part: dict[str, Any]) -> Iterator[str]:
    """The names of common table expressions (CTE) in a part of a query."""
    named = part.get("cte_map")
    if isinstance(named, dict):
        yield from (str(one["key"]) for one in named["map"])


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object in *value*; a loop and no recursion, because it may be nested deeply."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            yield one
            left += one.values()
        elif isinstance(one, list):
            left += one
