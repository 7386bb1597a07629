"""SQLMesh upgrade: drop tables and state of another SQLMesh version, and rebuild all models.

SQLMesh keeps its state in the database that it builds, and refuses the state of another version.
Its own migration changes the fingerprints of models, so it would rebuild most of them anyway.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from materia.errors import ConfigError
from materia.kit.sql import literal

STATE = "sqlmesh"  # schema of the state; schemas of tables begin with it and two underscores
# A second pipeline in the same database has `sqlmesh_2`, and so on: see `owned_tables`.
NUMBER = re.compile(r"\d+")
LONGEST_REASON = 200  # characters

Execute = Callable[[str], object]
FetchAll = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Versions that wrote a state.

    Attributes:
        schema: Version of the state's schema.
        sqlglot: Version of sqlglot, whose syntax trees are part of the state.
        sqlmesh: Version of SQLMesh.
    """

    schema: int
    sqlglot: str
    sqlmesh: str

    def fits(self, other: Versions) -> bool:
        """Whether a state of *other* can be used unchanged, by SQLMesh's own rule."""
        return (self.schema, _minor(self.sqlglot), _minor(self.sqlmesh)) == (
            other.schema,
            _minor(other.sqlglot),
            _minor(other.sqlmesh),
        )

    def is_older(self, other: Versions) -> bool:
        """Whether any of the three versions is older than in *other*."""
        return (
            self.schema < other.schema
            or _minor(self.sqlmesh) < _minor(other.sqlmesh)
            or _minor(self.sqlglot) < _minor(other.sqlglot)
        )

    def __str__(self) -> str:
        """The versions as text for people."""
        return f"SQLMesh {self.sqlmesh} with sqlglot {self.sqlglot}"


def running_versions() -> Versions:
    """The versions of the installed libraries."""
    from importlib.metadata import version

    from sqlmesh.core.state_sync.base import SCHEMA_VERSION

    return Versions(schema=SCHEMA_VERSION, sqlglot=version("sqlglot"), sqlmesh=version("sqlmesh"))


def drop_other_state(database: Path, running: Versions, state: str = STATE) -> str:
    """Drop the tables and the state of another SQLMesh version in *database*; keep the raw layer.

    Returns a sentence about it, or an empty text when the state fits. It is idempotent: after a
    kill, the next call drops the rest.

    Args:
        database: A private copy that no other process has open.
        running: The installed versions.
        state: Schema of the state.

    Raises:
        ConfigError: a newer version than the installed one built it.
    """
    import duckdb

    with duckdb.connect(str(database)) as connection:

        def fetchall(sql: str) -> list[tuple[Any, ...]]:
            return connection.execute(sql).fetchall()

        try:
            found = _read(fetchall, state)
        except (duckdb.Error, ValueError) as error:
            return drop_state(connection.execute, fetchall, reason(error), state)
        if found is None or found.fits(running):
            return ""
        if running.is_older(found):
            raise ConfigError(
                f"the published tables were built with {found}, but this computer has {running}: "
                "update materia here, or run where the newer version is installed"
            )
        for statement in _drops(fetchall, state):
            connection.execute(statement)
        return f"the tables were built with {found}: all models are rebuilt with {running}"


def drop_state(execute: Execute, fetchall: FetchAll, why: str, state: str = STATE) -> str:
    """Drop SQLMesh's tables and state in a database; returns a sentence about it.

    Args:
        execute: Executes a statement in a database that no other process has open.
        fetchall: Returns the rows of a query there.
        why: Reason why the state cannot be used.
        state: Schema of the state.
    """
    for statement in _drops(fetchall, state):
        execute(statement)
    return (
        f"the SQLMesh state in the published database cannot be used ({why}): all models are "
        "rebuilt"
    )


def reason(error: Exception) -> str:
    """The first line of an error's message, shortened."""
    said = str(error).strip().split("\n", 1)[0].rstrip(".!:")
    return said[:LONGEST_REASON] or type(error).__name__


def is_there(fetchall: FetchAll, state: str = STATE) -> bool:
    """Whether a database has a SQLMesh state.

    Raises:
        ValueError: part of the state is a view, which may change at every read.
    """
    there = f"database_name = current_database() AND schema_name = {literal(state)}"
    if fetchall(f"SELECT view_name FROM duckdb_views() WHERE {there}"):
        raise ValueError("it has views instead of tables")
    return bool(fetchall(f"SELECT table_name FROM duckdb_tables() WHERE {there}"))


def _read(fetchall: FetchAll, state: str) -> Versions | None:
    """The versions in the state; None for a database without a state.

    Raises:
        ValueError: the state has no versions.
        Exception: an error of DuckDB, when a table or a column of the state is missing.
    """
    if not is_there(fetchall, state):
        return None
    rows = fetchall(
        f"SELECT schema_version, sqlglot_version, sqlmesh_version FROM {state}._versions"
    )
    if not rows:
        raise ValueError("it has no version")
    schema, sqlglot, sqlmesh = rows[0]
    return Versions(schema=int(schema or 0), sqlglot=str(sqlglot), sqlmesh=str(sqlmesh))


def _drops(fetchall: FetchAll, state: str) -> list[str]:
    """DROP statements: views, tables, and the state last, so that a kill in between is no harm."""
    views = fetchall(
        "SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal"
        f" AND database_name = current_database() AND contains(sql, {literal(f'{state}__')})"
    )
    schemas = fetchall(
        "SELECT schema_name FROM duckdb_schemas() WHERE database_name = current_database()"
        f" AND starts_with(schema_name, {literal(f'{state}__')})"
    )
    return [
        *(f"DROP VIEW IF EXISTS {_quoted(schema)}.{_quoted(view)}" for schema, view in views),
        *(f"DROP SCHEMA IF EXISTS {_quoted(schema)} CASCADE" for (schema,) in schemas),
        f"DROP SCHEMA IF EXISTS {state} CASCADE",
    ]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _minor(version: str) -> tuple[int, ...]:
    """Major and minor version: SQLMesh ignores patch versions."""
    return tuple(int(number) for number in NUMBER.findall(version)[:2])
