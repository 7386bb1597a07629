"""List the tables of a published DuckDB file, with row counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from materia_runner.tables.database import opened

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LAYERS = ("raw", "staging", "cleaned", "serving")


def tables_in(database: Path) -> dict[str, int | None]:
    """Row count of each table and view, by name, in the order of the layers.

    None for a view that cannot be counted, because it reads something outside the database.

    Raises:
        BusyError: another process has the file open for writing.
    """
    with opened(database) as connection:
        names = connection.execute(
            "select table_schema, table_name from information_schema.tables"
            " where table_schema in $layers order by list_position($layers, table_schema), 2",
            {"layers": list(LAYERS)},
        ).fetchall()
        return {f"{schema}.{name}": _rows(connection, schema, name) for schema, name in names}


def _rows(connection: DuckDBPyConnection, schema: str, name: str) -> int | None:
    import duckdb

    quoted = ".".join('"' + part.replace('"', '""') + '"' for part in (schema, name))
    try:
        found = connection.execute(f"select count(*) from {quoted}").fetchone()
    except duckdb.Error:
        return None
    return int(found[0]) if found else 0
