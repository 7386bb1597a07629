"""Upgrade SQLMesh: drop what another version of it built, so that all models are built anew.

SQLMesh keeps its state in the database that it builds, and refuses a state of other versions. Its
own migration changes the fingerprints of models, so most would be built again all the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from materia.errors import ConfigError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

STATE = "sqlmesh"  # the schema of the state; those of the tables begin with it and two underscores
NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What a state was written by.

    Attributes:
        schema: Number of the form of the state.
        sqlglot: Version of sqlglot, whose trees are part of the state.
        sqlmesh: Version of SQLMesh.
    """

    schema: int
    sqlglot: str
    sqlmesh: str

    def fits(self, other: Versions) -> bool:
        """Whether a state of *other* can be used as it is: SQLMesh's own rule."""
        return (self.schema, _minor(self.sqlglot), _minor(self.sqlmesh)) == (
            other.schema,
            _minor(other.sqlglot),
            _minor(other.sqlmesh),
        )

    def is_older(self, other: Versions) -> bool:
        """Whether something in it is older than in *other*."""
        return (
            self.schema < other.schema
            or _minor(self.sqlmesh) < _minor(other.sqlmesh)
            or _minor(self.sqlglot) < _minor(other.sqlglot)
        )

    def __str__(self) -> str:
        """For people."""
        return f"SQLMesh {self.sqlmesh} with sqlglot {self.sqlglot}"


def running_versions() -> Versions:
    """Those of the libraries that are installed here."""
    from importlib.metadata import version

    from sqlmesh.core.state_sync.base import SCHEMA_VERSION

    return Versions(schema=SCHEMA_VERSION, sqlglot=version("sqlglot"), sqlmesh=version("sqlmesh"))


def drop_other_state(database: Path, running: Versions) -> str:
    """Drop what another version of SQLMesh built in *database*; the raw layer stays.

    What was dropped and why, in a sentence, or nothing when the state fits. A second time, or a
    time after a kill, finds nothing or the rest to drop.

    Args:
        database: A private copy: nobody else has it open.
        running: What would go on with it.

    Raises:
        ConfigError: a newer version than the one here built it.
    """
    import duckdb

    with duckdb.connect(str(database)) as connection:
        found = _read(connection)
        if found is None or found.fits(running):
            return ""
        if running.is_older(found):
            raise ConfigError(
                f"the published tables were built with {found}, and this computer has {running}: "
                "install the newer version of materia here too, or run where it is installed"
            )
        for statement in _drops(connection):
            connection.execute(statement)
        return f"the tables were built with {found}: all models are built anew with {running}"


def _read(connection: DuckDBPyConnection) -> Versions | None:
    """What the state says of itself; None for a database that has none."""
    has_table = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = current_database()"
        " AND schema_name = ? AND table_name = '_versions'",
        [STATE],
    ).fetchone()
    if has_table != (1,):
        return None
    row = connection.execute(
        f"SELECT schema_version, sqlglot_version, sqlmesh_version FROM {STATE}._versions"
    ).fetchone()
    if row is None:
        return None
    schema, sqlglot, sqlmesh = row
    return Versions(schema=int(schema or 0), sqlglot=str(sqlglot), sqlmesh=str(sqlmesh))


def _drops(connection: DuckDBPyConnection) -> list[str]:
    """The views on SQLMesh's tables first, then the tables, the state last: a kill repeats it."""
    views = connection.execute(
        "SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal"
        " AND database_name = current_database() AND contains(sql, ?)",
        [f"{STATE}__"],
    ).fetchall()
    schemas = connection.execute(
        "SELECT schema_name FROM duckdb_schemas() WHERE database_name = current_database()"
        " AND starts_with(schema_name, ?)",
        [f"{STATE}__"],
    ).fetchall()
    return [
        *(f"DROP VIEW IF EXISTS {_quoted(schema)}.{_quoted(view)}" for schema, view in views),
        *(f"DROP SCHEMA IF EXISTS {_quoted(schema)} CASCADE" for (schema,) in schemas),
        f"DROP SCHEMA IF EXISTS {STATE} CASCADE",
    ]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _minor(version: str) -> tuple[int, ...]:
    """Major and minor: SQLMesh takes patches of one minor version for the same."""
    return tuple(int(number) for number in NUMBER.findall(version)[:2])
