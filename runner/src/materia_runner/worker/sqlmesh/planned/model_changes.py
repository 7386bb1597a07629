"""Dry run of SQLMesh models: which are added, modified or removed, and what would be rebuilt.

It plans as a run does, on a copy of the SQLMesh state, and applies nothing: neither the published
database nor a table in it is changed.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from materia.errors import StageError
from materia.kit.sql import literal

from materia_runner.worker.sqlmesh.state import STATE, drop_other_state, running_versions

if TYPE_CHECKING:
    from sqlmesh import Context
    from sqlmesh.core.plan import Plan
    from sqlmesh.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """A model that would be rebuilt.

    Attributes:
        model: Name, with its schema.
        what: `full refresh`, `recreate view`, or the days of an incremental model.
    """

    model: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChanges:
    """Differences between the models of the projects and those that are published.

    Attributes:
        directly_modified: Models whose own definition changed.
        indirectly_modified: Models that read from those, directly or not.
        metadata_updated: Models of which only a description, an owner or an audit changed.
        added: New models.
        removed: Published models that the projects no longer have.
        backfill: Models that a run would build, in SQLMesh's order.
        notices: Sentences about a state that cannot be used, so that everything is rebuilt.
    """

    directly_modified: tuple[str, ...] = ()
    indirectly_modified: tuple[str, ...] = ()
    metadata_updated: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    backfill: tuple[Backfill, ...] = ()
    notices: tuple[str, ...] = ()


def planned_changes(
    database: Path, projects: Sequence[Path], *, state: str = STATE
) -> ModelChanges:
    """What a run would rebuild because of changed models, without a new file of a source.

    Args:
        database: The published database, which is only read.
        projects: Folders of SQLMesh projects, as in a run.
        state: Schema of SQLMesh's state in it.

    Raises:
        StageError: a model cannot be read, or does not declare what it selects.
        ConfigError: a newer SQLMesh than the installed one built the tables.
    """
    from materia_runner.worker.sqlmesh.build import ENVIRONMENT

    with TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        # SQLMesh reads these on import; without the last it would write to the user's home.
        os.environ.update(ENVIRONMENT, SQLMESH_HOME=str(Path(folder, "home")))
        copy = Path(folder, "state.duckdb")
        _copy_state(database, copy, state)
        return _planned(copy, projects, state)


def _copy_state(database: Path, copy: Path, state: str) -> None:
    """Copy the tables of the SQLMesh state; a view there, which a run refuses, is left out."""
    import duckdb

    with duckdb.connect(str(copy)) as connection:
        connection.execute(f"ATTACH {literal(str(database))} AS published (READ_ONLY)")
        connection.execute("SET enable_external_access = false")
        tables = connection.execute(
            "SELECT table_name FROM duckdb_tables() "
            f"WHERE database_name = 'published' AND schema_name = {literal(state)}"
        ).fetchall()
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {state}" if tables else "SELECT 1")
        for (table,) in tables:
            name = '"' + table.replace('"', '""') + '"'
            connection.execute(f"CREATE TABLE {state}.{name} AS FROM published.{state}.{name}")


def _planned(copy: Path, projects: Sequence[Path], state: str) -> ModelChanges:
    from sqlmesh.utils.errors import SQLMeshError

    from materia_runner.worker.sqlmesh.build import (
        TransformRequest,
        open_context,
        plan_of,
        without_sql,
    )
    from materia_runner.worker.sqlmesh.check_models import check_models
    from materia_runner.worker.sqlmesh.console import console

    notices = [drop_other_state(copy, running_versions(), state)]
    request = TransformRequest(database=copy, projects=tuple(projects), state=state)
    with console(lambda _name, _done, _total: None), TemporaryDirectory() as cache:
        try:
            with open_context(request, Path(cache), notices) as context:
                check_models(context, projects, taken=frozenset())
                return _changes(context, plan_of(context, ()), notices)
        except SQLMeshError as error:
            raise StageError(without_sql(str(error))) from error


def _changes(context: Context, plan: Plan, notices: Iterable[str]) -> ModelChanges:
    difference = plan.context_diff
    direct, indirect, metadata = [], [], []
    for now, before in difference.modified_snapshots.values():
        # Not by their definitions: those of the published versions are replaced, unread.
        if now.fingerprint.data_hash != before.fingerprint.data_hash:
            direct.append(_name(now))
        elif now.fingerprint.parent_data_hash != before.fingerprint.parent_data_hash:
            indirect.append(_name(now))
        else:
            metadata.append(_name(now))
    own = {snapshot.name: snapshot for snapshot in context.snapshots.values()}
    backfill = []
    for missing in plan.missing_intervals:
        snapshot = own[missing.snapshot_id.name]
        if snapshot.is_model:
            if snapshot.is_incremental:
                what = missing.format_intervals(snapshot.node.interval_unit)
            else:
                what = "recreate view" if snapshot.is_view else "full refresh"
            backfill.append(Backfill(model=_name(snapshot), what=what))
    return ModelChanges(
        directly_modified=tuple(sorted(direct)),
        indirectly_modified=tuple(sorted(indirect)),
        metadata_updated=tuple(sorted(metadata)),
        added=tuple(sorted(_name(difference.snapshots[one]) for one in difference.added)),
        removed=tuple(sorted(_plain(one.name) for one in difference.removed_snapshots)),
        backfill=tuple(backfill),
        notices=tuple(filter(None, notices)),
    )


def _name(snapshot: Snapshot) -> str:
    return _plain(snapshot.name)


def _plain(name: str) -> str:
    """`schema.table` of SQLMesh's name, which is quoted and has a catalog."""
    return ".".join(part.strip('"') for part in name.split(".")[-2:])
