"""The working database as it is published: its tables, and Parquet files of what is in them."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from materia.errors import SinkError
from materia.kit.sql import LOCKED, literal
from materia_store.publication import quoted

from materia_iceberg.tables.columns import Column, field_ids, selected
from materia_iceberg.tables.statistics import Statistics, read_statistics

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from duckdb.sqltypes import DuckDBPyType
    from pyiceberg.schema import Schema

RAW = "raw"
FOLDER = "publish."  # how the name of a folder of files begins


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A Parquet file on this machine.

    Attributes:
        path: Of the file.
        rows: How many it has.
        size: Its bytes.
        statistics: Of its columns.
    """

    path: Path
    rows: int
    size: int
    statistics: Statistics


class Export:
    """An open database, and a folder for files of it."""

    def __init__(self, connection: DuckDBPyConnection, folder: Path) -> None:
        """Write files of *connection*'s database into *folder*."""
        self._connection = connection
        self._folder = folder

    def tables(self, finished: Sequence[str], layers: Sequence[str]) -> tuple[str, ...]:
        """Names of what is published: of each layer its finished tables, of `raw` what is kept.

        A view of `raw` shows the kept history in another form, and staging has that form too: it
        would be the same rows once more.
        """
        rows = self._connection.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() "
            f"WHERE database_name = current_database() AND schema_name = {literal(RAW)} ORDER BY 1"
        ).fetchall()
        kept = [str(name) for (name,) in rows]
        named = [name for name in finished if name.partition(".")[0] != RAW]
        return tuple(name for name in (*kept, *named) if name.partition(".")[0] in layers)

    def columns(self, name: str) -> tuple[Column, ...]:
        """The columns of a table, with their descriptions."""
        docs = dict(
            self._connection.execute(
                "SELECT column_name, comment FROM duckdb_columns() "
                f"WHERE database_name = current_database() AND {_is(name)}"
            ).fetchall()
        )
        found = self._connection.execute(f"SELECT * FROM {_sql(name)} LIMIT 0").description or []
        return tuple(
            Column(name=column[0], kind=column[1], doc=docs.get(column[0]) or "")
            for column in found
        )

    def kinds(self, names: Sequence[str]) -> tuple[DuckDBPyType, ...]:
        """The types that SQL calls by *names*."""
        casts = ", ".join(f"CAST(NULL AS {name})" for name in names)
        found = self._connection.execute(f"SELECT {casts}").description or []
        return tuple(column[1] for column in found)

    def description(self, name: str) -> str:
        """Of a table; may be empty."""
        row = self._connection.execute(
            f"SELECT comment FROM duckdb_tables() WHERE {_is(name)} UNION ALL "
            f"SELECT comment FROM duckdb_views() WHERE {_is(name, 'view_name')}"
        ).fetchone()
        return str(row[0] or "") if row else ""

    def content(self, name: str, columns: Sequence[Column], description: str) -> str:
        """Of a table's rows in any order, its columns and its descriptions.

        Two sums of 64-bit hashes. Another version of DuckDB may hash in another way: then
        a table is written once more than it had to be.
        """
        import duckdb

        table = _sql(name)
        row = self._connection.execute(
            "SELECT count(*), sum(found), sum(hash(found, 1)) "
            f"FROM (SELECT hash(one) AS found FROM {table} AS one)"
        ).fetchone()
        what = [duckdb.__version__, description, [[c.name, str(c.kind), c.doc] for c in columns]]
        return hashlib.sha256(json.dumps([what, list(map(str, row or ()))]).encode()).hexdigest()

    def write(self, name: str, columns: Sequence[Column], schema: Schema) -> Exported:
        """A file with the rows of a table.

        Raises:
            SinkError: a value does not fit into what Iceberg has, or the disk is full.
        """
        return self.write_query(name, selected(columns, _sql(name)), schema)

    def write_query(self, name: str, query: str, schema: Schema) -> Exported:
        """As `write`, with the rows of a query."""
        import duckdb

        path = self._folder / f"{name}.parquet"
        try:
            row = self._connection.execute(
                f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd, "
                f"FIELD_IDS {field_ids(schema)}, RETURN_STATS)"
            ).fetchone()
        except duckdb.Error as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            raise SinkError(
                f"{name}: cannot be written for Iceberg ({reason}); what is published is "
                "unharmed: see to it and run again"
            ) from error
        if row is None:
            raise SinkError(f"{name}: DuckDB says nothing of the file that it wrote; run again")
        return Exported(
            path=path,
            rows=int(row[1]),
            size=path.stat().st_size,
            statistics=read_statistics(row[4], schema, rows=int(row[1]), table=name),
        )


@contextmanager
def exporting(database: Path) -> Iterator[Export]:
    """*database*, open to be read alone; files are removed when the block ends."""
    import duckdb

    for left in database.parent.glob(f"{FOLDER}*"):  # by a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=FOLDER, dir=database.parent) as folder:
        connection = duckdb.connect()
        try:
            # It has the name that views in it hold.
            name = quoted(database.stem)
            connection.execute(f"ATTACH {literal(str(database))} AS {name} (READ_ONLY)")
            connection.execute(f"USE {name}")
            connection.execute(f"SET allowed_directories = [{literal(folder)}]")
            connection.execute("SET TimeZone = 'UTC'")
            for setting, value in LOCKED.items():
                connection.execute(f"SET {setting} = {value}")
            yield Export(connection, Path(folder))
        except duckdb.Error as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            raise SinkError(
                f"{database}: cannot be read for Iceberg ({reason}); what is published is "
                "unharmed: see to it and run again"
            ) from error
        finally:
            connection.close()


def _sql(name: str) -> str:
    return quoted(*name.split(".", 1))


def _is(name: str, column: str = "table_name") -> str:
    schema, _, table = name.partition(".")
    return f"schema_name = {literal(schema)} AND {column} = {literal(table)}"
