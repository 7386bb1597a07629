"""Export tables from DuckDB to Parquet files, with Iceberg field ids and column statistics."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from materia.errors import SinkError
from materia.kit.sql import LOCKED, literal
from materia_store.publication import quoted

from materia_iceberg.tables.columns import (
    Column,
    field_ids,
    hashable,
    selected,
    values_of_enums,
    written,
)
from materia_iceberg.tables.statistics import Statistics, read_statistics

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from duckdb.sqltypes import DuckDBPyType

    from materia_iceberg.tables.schema import Schema

RAW = "raw"
FOLDER = "publish."  # prefix of the folder for exported files
NUMBERS = count(1)  # of exported files


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A Parquet file on this machine.

    Attributes:
        path: Path of the file.
        rows: Number of rows.
        size: Size in bytes.
        statistics: Column statistics.
    """

    path: Path
    rows: int
    size: int
    statistics: Statistics


class Export:
    """An open database, and a folder for exported files."""

    def __init__(self, connection: DuckDBPyConnection, folder: Path) -> None:
        """Export tables of *connection* into *folder*."""
        self._connection = connection
        self._folder = folder

    def tables(self, finished: Sequence[str], layers: Sequence[str]) -> tuple[str, ...]:
        """Names of the tables to publish: finished ones of each layer, stored ones of `raw`.

        This excludes views of `raw`: they show the kept history in another form that staging has
        too, so it would publish the same rows twice.
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
        docs = self._described[1].get(name, {})
        found = self._connection.execute(f"SELECT * FROM {_sql(name)} LIMIT 0").description or []
        return tuple(
            Column(name=column[0], kind=column[1], doc=docs.get(column[0]) or "")
            for column in found
        )

    def kinds(self, names: Sequence[str]) -> tuple[DuckDBPyType, ...]:
        """The DuckDB types with the SQL names *names*."""
        casts = ", ".join(f"CAST(NULL AS {name})" for name in names)
        found = self._connection.execute(f"SELECT {casts}").description or []
        return tuple(column[1] for column in found)

    def description(self, name: str) -> str:
        """The description of a table or view; may be empty."""
        return self._described[0].get(name, "")

    @cached_property
    def _described(self) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        """Descriptions of all tables and views, and of their columns; DuckDB lists all anyway."""
        here = "WHERE database_name = current_database() AND comment IS NOT NULL"
        tables = self._connection.execute(
            f"SELECT schema_name || '.' || table_name, comment FROM duckdb_tables() {here} "
            f"UNION ALL SELECT schema_name || '.' || view_name, comment FROM duckdb_views() {here}"
        ).fetchall()
        columns: dict[str, dict[str, str]] = {}
        for table, column, comment in self._connection.execute(
            f"SELECT schema_name || '.' || table_name, column_name, comment FROM duckdb_columns() "
            f"{here}"
        ).fetchall():
            columns.setdefault(table, {})[column] = comment
        return dict(tables), columns

    def content(
        self,
        name: str,
        columns: Sequence[Column],
        description: str,
        *,
        of: Exported | None = None,
    ) -> tuple[int, str]:
        """The number of rows, and a hash of rows in any order, columns and descriptions.

        It reads the table, or its exported file *of*, which is faster for a view: the hash is the
        same. It uses two sums of 64-bit hashes. Another version of DuckDB may hash differently:
        then the sink writes the table again although it is the same.
        """
        import duckdb

        # A folder named `key=value` is no column.
        file = f"read_parquet({literal(str(of.path))}, hive_partitioning = false)" if of else ""
        rows = file or f"({selected(columns, _sql(name))})"
        row = self._connection.execute(
            "SELECT count(*), sum(found), sum(hash(found, 1)) "
            f"FROM (SELECT hash({', '.join(map(hashable, columns))}) AS found FROM {rows})"
        ).fetchone()
        found = list(map(str, row or (0,)))
        what = [duckdb.__version__, description, [[c.name, str(c.kind), c.doc] for c in columns]]
        return int(found[0]), hashlib.sha256(json.dumps([what, found]).encode()).hexdigest()

    def write(self, name: str, columns: Sequence[Column], schema: Schema) -> Exported:
        """Export the rows of a table to a Parquet file.

        Raises:
            SinkError: a value does not fit a type of Iceberg, or the disk is full.
        """
        query, enums = written(columns, _sql(name)), values_of_enums(columns)
        return self.write_query(name, query, schema, enums=enums)

    def write_query(
        self,
        name: str,
        query: str,
        schema: Schema,
        *,
        enums: Mapping[str, Sequence[str]] | None = None,
    ) -> Exported:
        """Export the rows of a query to a Parquet file; raises like `write`.

        *enums* has the values of the columns that are enums in the query.
        """
        import duckdb

        path = self._folder / f"{next(NUMBERS)}.parquet"  # a name may be too long for a file
        try:
            row = self._connection.execute(
                f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd, "
                f"FIELD_IDS {field_ids(schema)}, RETURN_STATS)"
            ).fetchone()
        except duckdb.Error as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            raise SinkError(
                f"{name}: DuckDB cannot export it to Iceberg ({reason}); the published tables "
                "are unharmed: correct that and run again"
            ) from error
        if row is None:
            raise SinkError(
                f"{name}: DuckDB returned no statistics of the file that it wrote; run again"
            )
        groups = self._connection.execute(
            f"SELECT num_row_groups FROM parquet_file_metadata({literal(str(path))})"
        ).fetchone()
        return Exported(
            path=path,
            rows=int(row[1]),
            size=path.stat().st_size,
            statistics=read_statistics(
                row[4],
                schema,
                rows=int(row[1]),
                table=name,
                groups=int((groups or (2,))[0]),
                enums=enums or {},
            ),
        )


@contextmanager
def scratch(database: Path) -> Iterator[Path]:
    """A folder beside *database* for exported files; it is removed at the end of the block."""
    for left in database.parent.glob(f"{FOLDER}*"):  # of a killed run
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=FOLDER, dir=database.parent) as folder:
        yield Path(folder)


@contextmanager
def exporting(database: Path, folder: Path) -> Iterator[Export]:
    """Open *database* read-only, and export its tables into *folder*.

    Raises:
        SinkError: DuckDB cannot read it.
    """
    import duckdb

    connection = duckdb.connect()
    try:
        # Views contain this name of their database.
        name = quoted(database.stem)
        connection.execute(f"ATTACH {literal(str(database))} AS {name} (READ_ONLY)")
        connection.execute(f"USE {name}")
        connection.execute(f"SET allowed_directories = [{literal(str(folder))}]")
        connection.execute("SET TimeZone = 'UTC'")
        for setting, value in LOCKED.items():
            connection.execute(f"SET {setting} = {value}")
        yield Export(connection, folder)
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise SinkError(
            f"{database}: DuckDB cannot read it for Iceberg ({reason}); the published tables "
            "are unharmed: correct that and run again"
        ) from error
    finally:
        connection.close()


def _sql(name: str) -> str:
    return quoted(*name.split(".", 1))
