"""Export a published table to a Parquet, CSV or Excel file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from materia.errors import ConfigError, SinkError
from materia.kit.files import replacing
from materia.kit.sql import literal
from materia.text import suggestion

from materia_runner.tables.database import opened

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FORMATS = {".parquet": "FORMAT parquet", ".csv": "FORMAT csv, HEADER"}
SPREADSHEET = ".xlsx"


def export_table(database: Path, name: str, path: Path) -> int:
    """Write all rows of a table to *path*, whole or not at all, and return their number.

    The ending of *path* chooses the format: `.parquet`, `.csv` or `.xlsx`. Codes stay text in each
    of them. An existing file is replaced.

    Args:
        database: The published DuckDB file.
        name: A table or view with its schema, such as `serving.fct_balance`.
        path: The file to write, in a folder that exists.

    Raises:
        BusyError: another process has the database open for writing.
        ConfigError: the ending, the folder or the table does not exist.
        SinkError: the file cannot be written, or a sheet cannot hold the table.
    """
    ending = path.suffix.lower()
    if ending not in (*FORMATS, SPREADSHEET):
        raise ConfigError(f"{path}: the name must end in .parquet, .csv or .xlsx")
    path = path.absolute()
    if not path.parent.is_dir():
        raise ConfigError(f"{path.parent}: no such folder; create it first")
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder; give the name of a file")
    if path.exists() and path.samefile(database):
        raise ConfigError(f"{path}: is the database itself; give another name")
    try:
        with replacing(path) as part:
            part.unlink(missing_ok=True)  # DuckDB would write beside a file that exists
            return _write(database, name, part, ending)
    except OSError as error:
        raise SinkError(f"{path}: cannot be written: {error.strerror or error}") from error


def _write(database: Path, name: str, part: Path, ending: str) -> int:
    import duckdb

    with opened(database, writes=part) as connection:
        table = _quoted(connection, name)
        try:
            if ending == SPREADSHEET:
                from materia_runner.tables.spreadsheet import write_sheet

                return write_sheet(connection.sql(f"FROM {table}"), name, part)
            done = connection.execute(
                f"COPY (FROM {table}) TO {literal(str(part))} ({FORMATS[ending]})"
            )
        except duckdb.IOException as error:
            raise SinkError(f"{name}: cannot be written: {error}") from error
        except duckdb.Error as error:
            raise SinkError(f"{name}: cannot be read: {error}") from error
        row = done.fetchone()
        return int(row[0]) if row else 0


def _quoted(connection: DuckDBPyConnection, name: str) -> str:
    """The name as an SQL identifier.

    Raises:
        ConfigError: the database has no such table or view.
    """
    rows = connection.execute(
        "SELECT table_schema, table_name FROM information_schema.tables ORDER BY ALL"
    ).fetchall()
    tables = {f"{schema}.{table}": (schema, table) for schema, table in rows}
    if name not in tables:
        wanted = name.casefold()
        bare = [
            full
            for full in tables
            if wanted in (full.casefold(), full.partition(".")[2].casefold())
        ]
        hint = f"; did you mean {bare[0]}?" if bare else suggestion(name, list(tables))
        raise ConfigError(f"no table {name!r} is published{hint}")
    return ".".join('"' + part.replace('"', '""') + '"' for part in tables[name])
