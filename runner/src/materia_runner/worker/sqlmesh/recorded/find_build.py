"""Find the recorded build that fits a database: one that this user keeps, or a shipped one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from materia.kit.sql import literal

from materia_runner.worker.sqlmesh.passed_tests import SKIPPED, fingerprint_of_tests
from materia_runner.worker.sqlmesh.recorded.first_build import FirstBuild, has_no_models
from materia_runner.worker.sqlmesh.recorded.recorded_build import (
    FetchAll,
    RecordedBuild,
    definitions_of,
    hash_of_state,
    load,
    path_of,
)
from materia_runner.worker.sqlmesh.recorded.shipped_build import SKIPPED as AS_SHIPPED
from materia_runner.worker.sqlmesh.recorded.shipped_build import shipped_with
from materia_runner.worker.sqlmesh.state import STATE, is_there

if TYPE_CHECKING:
    import duckdb

# A text of SQLMesh's state when a build ended well; it goes with the state.
ENDED = f"{STATE}._materia_ended_build"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundBuild:
    """A recorded build, the reason why its unit tests do not run, and what comes before it."""

    build: RecordedBuild
    skipped: str
    first: FirstBuild | None = None


def is_recorded(database: Path, folder: Path | None, projects: Sequence[Path]) -> bool:
    """Whether a build of *projects* is recorded for *database* as it is now.

    Args:
        database: The file, which may be missing; it is not made then.
        folder: Folder of this user for recorded builds, or None.
        projects: Folders of the SQLMesh projects.
    """
    import duckdb

    if not database.exists():
        return shipped_with(projects) is not None
    try:
        with opened(database) as connection:
            return fitting_build(connection, folder, projects) is not None
    except duckdb.Error:
        return False


def note_ended(fetchall: Callable[[str], Any], execute: Callable[[str], object]) -> None:
    """Keep in a database that all its models are built; any change of its state undoes that."""
    execute(f"CREATE OR REPLACE TABLE {ENDED} AS SELECT {literal(_state_text(fetchall))} AS state")


@contextmanager
def opened(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the settings and the catalog that SQLMesh's own has."""
    import duckdb
    from materia_sqlmesh.duckdb_settings import CATALOG, connector_settings

    with duckdb.connect(config=dict(connector_settings(str(database)))) as connection:
        connection.execute(f"ATTACH {literal(str(database))} AS {CATALOG}")
        connection.execute(f"USE {CATALOG}")
        yield connection


def fetching(connection: duckdb.DuckDBPyConnection) -> FetchAll:
    """What returns the rows of a query on *connection*."""

    def fetchall(sql: str) -> list[tuple[Any, ...]]:
        return connection.execute(sql).fetchall()

    return fetchall


def _state_text(fetchall: Callable[[str], Any]) -> str:
    """A hash of SQLMesh's state."""
    tables = fetchall(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() "
        f"AND schema_name = {literal(STATE)} AND NOT starts_with(table_name, '_materia_') "
        "ORDER BY table_name"
    )
    hashes = [
        fetchall(
            f"SELECT md5(coalesce(string_agg(line, chr(10) ORDER BY line), '')) "
            f'FROM (SELECT one::VARCHAR AS line FROM {STATE}."{name}" AS one)'
        )[0][0]
        for (name,) in tables
    ]
    return " ".join(hashes)


def fitting_build(
    connection: duckdb.DuckDBPyConnection, folder: Path | None, projects: Sequence[Path]
) -> FoundBuild | None:
    """The recorded build that fits a database, which may come from anywhere; None without one."""
    try:
        return _recorded(fetching(connection), folder, projects)
    except Exception:  # noqa: BLE001 -- a state in no form that SQLMesh has, which it deals with
        return None


def _recorded(
    fetchall: FetchAll, folder: Path | None, projects: Sequence[Path]
) -> FoundBuild | None:
    shipped = shipped_with(projects)
    if has_no_models(fetchall):
        if shipped is None:
            return None
        return FoundBuild(build=shipped.build, skipped=AS_SHIPPED, first=shipped.first)
    if not _has_ended(fetchall):
        return None
    definitions = hash_of_state(fetchall)
    found = None
    if shipped is not None and shipped.definitions == definitions:
        found = FoundBuild(build=shipped.build, skipped=AS_SHIPPED)
    elif folder is not None:
        build = load(path_of(folder, fingerprint_of_tests(projects), definitions))
        found = None if build is None else FoundBuild(build=build, skipped=SKIPPED)
    if found is None or not found.build.definitions.items() <= definitions_of(fetchall).items():
        return None
    return found


def _has_ended(fetchall: FetchAll) -> bool:
    """Whether SQLMesh's state is as the last build left it, when that ended well."""
    return (
        is_there(fetchall)
        and not fetchall(f"SELECT 1 FROM {STATE}._environment_statements LIMIT 1")
        and fetchall(f"SELECT state FROM {ENDED}") == [(_state_text(fetchall),)]
    )
