"""Tables of a declared source in the schema `raw`: names, statements, and columns that come and go.

- `<name>_row`: the rows: of all files, or of the newest release;
- `<name>_file`: the files that are loaded;
- `<name>_change`: rows that came (1) and went (-1), by release, or by the time of a revision.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb
from materia.kit.sql import literal

if TYPE_CHECKING:
    from materia_snapshots.declaration import Snapshots


def quoted(names: Sequence[str]) -> str:
    """Names of columns, ready for SQL."""
    return ", ".join(f'"{name}"' for name in names)


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit at the end, or roll back when the block fails."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def count(connection: duckdb.DuckDBPyConnection, rows: str) -> int:
    """The number of *rows*, SQL for a relation."""
    found = connection.execute(f"SELECT count(*) FROM {rows}").fetchone()
    return int(found[0]) if found else 0


class Tables:
    """The tables of one source in one database."""

    def __init__(self, source: Snapshots, connection: duckdb.DuckDBPyConnection) -> None:
        self.source = source
        self.connection = connection
        self.row, self.file, self.change = (
            f"raw.{source.name}_{kind}" for kind in ("row", "file", "change")
        )
        self.key = source.key if source.each == "release" else ("partition", *source.key)

    @property
    def shape(self) -> str:
        """What the declaration fixes in the tables, as the comment of the table of files."""
        columns = [(name, one.type, one.format) for name, one in self.source.table.items()]
        text = repr((1, self.source.each, self.source.key, columns))
        return f"Loaded files. Declaration {hashlib.sha256(text.encode()).hexdigest()[:16]}"

    @property
    def placed(self) -> dict[str, str]:
        """Columns before those of the file, with their types."""
        return {} if self.source.each == "release" else {"partition": "TEXT", "period": "DATE"}

    def columns(self) -> list[str]:
        """The columns of a row now: those of the declaration, then those that files brought."""
        return [*self.placed, *self.source.table, *self.extras()]

    def create(self) -> None:
        """Create the tables; tables of another declaration are dropped first."""
        self.connection.execute("CREATE SCHEMA IF NOT EXISTS raw")
        if self._shape_there() not in {None, self.shape}:
            with transaction(self.connection):
                for table in (self.row, self.file, self.change):
                    self.connection.execute(f"DROP TABLE IF EXISTS {table}")
        when = "release DATE" if self.source.each == "release" else "seen TIMESTAMP"
        kinds = {name: one.type for name, one in self.source.table.items()}
        columns = ", ".join(f'"{name}" {kind}' for name, kind in {**self.placed, **kinds}.items())
        with transaction(self.connection):
            self.connection.execute(f"""
                CREATE TABLE IF NOT EXISTS {self.file} (
                    partition TEXT NOT NULL, first_day DATE NOT NULL, last_day DATE NOT NULL,
                    content TEXT NOT NULL, rows BIGINT NOT NULL, extras TEXT[] NOT NULL,
                    seen TIMESTAMP NOT NULL
                );
                COMMENT ON TABLE {self.file} IS {literal(self.shape)};
                CREATE TABLE IF NOT EXISTS {self.row} ({columns});
                CREATE TABLE IF NOT EXISTS {self.change} ({when}, change TINYINT, {columns});
            """)
            self._comment()

    def _comment(self) -> None:
        for name, column in self.source.table.items():
            if column.comment:
                text = literal(column.comment)
                self.connection.execute(f'COMMENT ON COLUMN {self.row}."{name}" IS {text}')

    def _shape_there(self) -> str | None:
        """The shape of the tables that exist; None when there are none."""
        schema, table = self.file.split(".")
        found = self.connection.execute(
            "SELECT coalesce(comment, '') FROM duckdb_tables() "
            f"WHERE database_name = current_database() AND schema_name = {literal(schema)} "
            f"AND table_name = {literal(table)}"
        ).fetchone()
        return None if found is None else str(found[0])

    def extras(self) -> list[str]:
        """Columns of the tables that the declaration does not have, sorted."""
        schema, table = self.row.split(".")
        rows = self.connection.execute(
            "SELECT column_name FROM duckdb_columns() WHERE database_name = current_database() "
            f"AND schema_name = {literal(schema)} AND table_name = {literal(table)}"
        ).fetchall()
        return sorted({name for (name,) in rows} - {*self.placed, *self.source.table})

    def add_extras(self, names: Sequence[str]) -> None:
        """Add text columns that do not exist yet; rows without them have NULL."""
        for name in names:
            for table in (self.row, self.change):
                self.connection.execute(
                    f'ALTER TABLE {table} ADD COLUMN IF NOT EXISTS "{name}" TEXT'
                )

    def drop_extras(self) -> None:
        """Drop the columns that no loaded file has any more, and no row of the history."""
        used = self.connection.execute(
            f"SELECT DISTINCT unnest(extras) FROM {self.file}"
        ).fetchall()
        for name in sorted(set(self.extras()) - {one for (one,) in used}):
            if count(self.connection, f'{self.change} WHERE "{name}" IS NOT NULL'):
                continue
            for table in (self.row, self.change):
                self.connection.execute(f'ALTER TABLE {table} DROP COLUMN IF EXISTS "{name}"')

    def insert(self, table: str, rows: str) -> int:
        """Insert *rows*, a SELECT with the columns' names, if there are any; returns their number.

        After a statement that wrote no rows into a table, DuckDB 1.5.6 does not see the rows that a
        large one writes into it in the same transaction. So this skips empty inserts.
        """
        number = count(self.connection, f"({rows})")
        if number:
            self.connection.execute(f"INSERT INTO {table} BY NAME {rows}")
        return number
