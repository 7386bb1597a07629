"""Publication metadata in a DuckDB file: its run and its tables, in the schema `publication`.

The schema is not called `materia`: DuckDB finds that ambiguous in a database of that name.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import astuple
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from materia._dataclass import dataclass
from materia.errors import SinkError
from materia.kit.sql import literal

from materia_store.views import refuse_reaching_out

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from materia.data import PublishRequest, Table

__all__ = [
    "REMEDY",
    "Publication",
    "quoted",
    "read",
    "write",
]

COUNT_SECONDS = 300.0  # 2 million rows take some milliseconds
REMEDY = "move it away, and the next run will rebuild it from the raw files"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """Metadata of a published database: run, fingerprint and tables."""

    run: str
    fingerprint: str
    tables: tuple[Table, ...]


def read(connection: DuckDBPyConnection, path: Path, *, remedy: str = REMEDY) -> Publication | None:
    """Read the publication metadata of *connection*'s database; None when it is empty."""
    from materia.data import Table

    made_by_materia = connection.execute(
        "SELECT count(*) = 2 FROM duckdb_tables() WHERE database_name = current_database() "
        "AND schema_name = 'publication' AND table_name IN ('run', 'tables')"
    ).fetchone()
    if made_by_materia != (True,):
        entries = connection.execute(
            "SELECT (SELECT count(*) FROM duckdb_tables()) "
            "+ (SELECT count(*) FROM duckdb_views() WHERE NOT internal)"
        ).fetchone()
        if entries == (0,):
            return None
        raise SinkError(f"{path} is a database that materia did not make; {remedy}")
    catalog = _catalog(connection)
    row = connection.execute(f"SELECT run, stamp FROM {catalog}.publication.run").fetchone()
    if row is None:
        raise SinkError(f"{path} does not say which run published it; {remedy}")
    tables = connection.execute(
        f"SELECT name, rows, description FROM {catalog}.publication.tables ORDER BY position"
    ).fetchall()
    return Publication(
        run=row[0],
        fingerprint=row[1],
        tables=tuple(Table(name=name, rows=rows, description=text) for name, rows, text in tables),
    )


def check(connection: DuckDBPyConnection, request: PublishRequest) -> Mapping[str, str]:
    """Check that the database can be published; the descriptions of its tables and views.

    Raises:
        SinkError: a table is missing, or a view reads something outside the database.
    """
    refuse_reaching_out(connection, request.database)
    comments: dict[str, str | None] = dict(
        connection.execute(
            "SELECT schema_name || '.' || table_name, comment FROM duckdb_tables() "
            "WHERE database_name = current_database() UNION ALL "
            "SELECT schema_name || '.' || view_name, comment FROM duckdb_views() "
            "WHERE database_name = current_database()"
        ).fetchall()
    )
    if missing := [name for name in request.tables if name not in comments]:
        raise SinkError(
            f"{request.database}: has no table {', '.join(missing)}, so it cannot be published"
        )
    return {name: comment or "" for name, comment in comments.items()}


def write(
    connection: DuckDBPyConnection,
    request: PublishRequest,
    *,
    rows: Mapping[str, int] | None = None,
) -> tuple[Table, ...]:
    """Write the publication metadata into the database, and return its tables.

    *rows* has the numbers of rows that are known already; the other tables are counted.

    Raises:
        SinkError: a table is missing, or a view reads something outside the database.
    """
    from materia.data import Table

    descriptions = check(connection, request)
    catalog = _catalog(connection)
    known = rows or {}
    tables = tuple(
        Table(
            name=name,
            rows=known[name] if name in known else _count(connection, catalog, name),
            description=descriptions[name],
        )
        for name in request.tables
    )
    schema = f"{catalog}.publication"
    connection.begin()
    connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    connection.execute(f"CREATE SCHEMA {schema}")
    connection.execute(
        f"CREATE TABLE {schema}.run (run TEXT NOT NULL, stamp TEXT NOT NULL, "
        "published_at_utc TIMESTAMP NOT NULL)"
    )
    connection.execute(
        f"CREATE TABLE {schema}.tables (position INTEGER NOT NULL, name TEXT NOT NULL, "
        "rows BIGINT NOT NULL, description TEXT NOT NULL)"
    )
    connection.execute(
        f"INSERT INTO {schema}.run VALUES ({literal(request.run)}, {literal(request.fingerprint)}, "
        f"{literal(datetime.now(UTC).replace(tzinfo=None))})"
    )
    for position, table in enumerate(tables):
        connection.execute(
            f"INSERT INTO {schema}.tables VALUES "
            f"({', '.join(map(literal, (position, *astuple(table))))})"
        )
    connection.execute(f"COMMENT ON TABLE {schema}.run IS 'The run that published this file.'")
    connection.execute(f"COMMENT ON TABLE {schema}.tables IS 'What was published, with its rows.'")
    connection.commit()
    return tables


def _count(connection: DuckDBPyConnection, catalog: str, name: str) -> int:
    """Count the rows of a table; a view that takes too long is interrupted."""
    late = threading.Timer(COUNT_SECONDS, connection.interrupt)
    late.daemon = True
    late.start()
    try:
        row = connection.execute(
            f"SELECT count(*) FROM {catalog}.{quoted(*name.split('.', 1))}"
        ).fetchone()
    finally:
        late.cancel()
    return int(row[0]) if row else 0


def _catalog(connection: DuckDBPyConnection) -> str:
    row = connection.execute("SELECT current_database()").fetchone()
    return quoted(str(row[0]) if row else "")


def quoted(*names: str) -> str:
    """Quote names for SQL and join them: `"schema"."table"`."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)
