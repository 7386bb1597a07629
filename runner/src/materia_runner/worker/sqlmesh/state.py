"""Upgrade SQLMesh: drop what another version of it built, so that all models are built anew.

SQLMesh keeps its state in the database that it builds, and refuses a state of other versions. Its
own migration changes the fingerprints of models, so most would be built again all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from materia.errors import ConfigError
from materia.kit.sql import literal

STATE = "sqlmesh"  # the schema of the state; those of the tables begin with it and two underscores
NUMBER = re.compile(r"\d+")
LONGEST_REASON = 200  # characters

Execute = Callable[[str], object]
FetchAll = Callable[[str], list[tuple[Any, ...]]]


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

        def fetchall(sql: str) -> list[tuple[Any, ...]]:
            return connection.execute(sql).fetchall()

        try:
            found = _read(fetchall)
        except (duckdb.Error, ValueError) as error:
            return drop_state(connection.execute, fetchall, reason(error))
        if found is None or found.fits(running):
            return ""
        if running.is_older(found):
            raise ConfigError(
                f"the published tables were built with {found}, and this computer has {running}: "
                "install the newer version of materia here too, or run where it is installed"
            )
        for statement in _drops(fetchall):
            connection.execute(statement)
        return f"the tables were built with {found}: all models are built anew with {running}"


def drop_state(execute: Execute, fetchall: FetchAll, why: str) -> str:
    """Drop what SQLMesh built and keeps in a database; a sentence that says so.

    Args:
        execute: Executes a statement there. Nobody else has the database open.
        fetchall: Gives the rows of a query there.
        why: What is wrong with the state.
    """
    for statement in _drops(fetchall):
        execute(statement)
    return (
        f"what SQLMesh keeps in the published database cannot be used ({why}): all models are "
        "built anew"
    )


def reason(error: Exception) -> str:
    """What went wrong, in a few words."""
    said = str(error).strip().split("\n", 1)[0].rstrip(".!:")
    return said[:LONGEST_REASON] or type(error).__name__


def is_there(fetchall: FetchAll) -> bool:
    """Whether a database has a state.

    Raises:
        ValueError: part of it is a view, which may say something else each time.
    """
    there = f"database_name = current_database() AND schema_name = {literal(STATE)}"
    if fetchall(f"SELECT view_name FROM duckdb_views() WHERE {there}"):
        raise ValueError("it has views in the place of tables")
    return bool(fetchall(f"SELECT table_name FROM duckdb_tables() WHERE {there}"))


def _read(fetchall: FetchAll) -> Versions | None:
    """What the state says of itself; None for a database that has none.

    Raises:
        ValueError: it does not say what made it.
        Exception: of DuckDB, when a table or a column of it is missing.
    """
    if not is_there(fetchall):
        return None
    rows = fetchall(
        f"SELECT schema_version, sqlglot_version, sqlmesh_version FROM {STATE}._versions"
    )
    if not rows:
        raise ValueError("it does not say which version made it")
    schema, sqlglot, sqlmesh = rows[0]
    return Versions(schema=int(schema or 0), sqlglot=str(sqlglot), sqlmesh=str(sqlmesh))


def _drops(fetchall: FetchAll) -> list[str]:
    """The views on SQLMesh's tables first, then the tables, the state last: a kill repeats it."""
    views = fetchall(
        "SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal"
        f" AND database_name = current_database() AND contains(sql, {literal(f'{STATE}__')})"
    )
    schemas = fetchall(
        "SELECT schema_name FROM duckdb_schemas() WHERE database_name = current_database()"
        f" AND starts_with(schema_name, {literal(f'{STATE}__')})"
    )
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
