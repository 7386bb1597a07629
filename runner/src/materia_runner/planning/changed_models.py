"""Changed models in a plan: what SQLMesh would rebuild, before readers see it."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from materia._dataclass import dataclass
from materia.errors import MateriaError, SinkError, StageError

from materia_runner.opening import open_plugin

if TYPE_CHECKING:
    from materia.plugins import InstalledPlugin, Registry

    from materia_runner.config.pipeline import Pipeline
    from materia_runner.worker.ownership import Standing
    from materia_runner.worker.sqlmesh.planned.model_changes import ModelChanges


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedModels:
    """Models that differ from those of the published tables.

    Attributes:
        changes: What SQLMesh would do; None when that cannot be found out here.
        reason: Why it cannot, or an empty text.
    """

    changes: ModelChanges | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedModels:
    """The models that rented machines build, when they come from a channel.

    Attributes:
        fingerprint: Hash of the models.
        where: The release and its channel, for messages.
    """

    fingerprint: str
    where: str


def changed_models(
    pipeline: Pipeline,
    registry: Registry,
    environment: Mapping[str, str],
    *,
    released: ReleasedModels | None = None,
    starting: Callable[[], None] = lambda: None,
) -> ChangedModels | None:
    """Compare the models with the published ones; None when none changed or nothing is published.

    Fingerprints are compared first. Only when they differ is SQLMesh imported, which takes seconds:
    *starting* is called before. It changes nothing. A sink or a source that cannot be read is a
    reason, not an error, since the plan of the machines needs neither.

    Raises:
        StageError: a changed model cannot be built, as the message says.
    """
    if all(stage.name != "transform" for stage in pipeline.stages):
        return None
    try:
        with _silence():
            found = _compare(pipeline, registry, environment, released)
        if found is None or isinstance(found, ChangedModels):
            return found
        starting()
        with _silence():
            return ChangedModels(changes=_planned(pipeline, *found))
    except StageError:
        raise
    except MateriaError as error:
        return ChangedModels(reason=str(error))


@contextmanager
def _silence() -> Iterator[None]:
    """Drop the output of plugins and models: it belongs neither in a plan nor in its JSON."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


def _compare(
    pipeline: Pipeline,
    registry: Registry,
    environment: Mapping[str, str],
    released: ReleasedModels | None,
) -> ChangedModels | tuple[Path, tuple[Path, ...], Standing] | None:
    """The published database, the changed projects, and what is published; or why not."""

    def opened(found: InstalledPlugin[Any]) -> Any:
        settings = pipeline.settings[found.kind, found.plugin.name]
        return open_plugin(found, environment, settings=settings, directory=pipeline.directory)

    sink = opened(registry.sink(pipeline.sink))
    if sink.fingerprint() is None:  # nothing is published, so no source need be opened
        return None
    from materia_runner.worker.sqlmesh.fingerprint import models_fingerprint
    from materia_runner.worker.sqlmesh.planned.changed_projects import changed_projects

    sources = {name: registry.source(name) for name in pipeline.sources}
    changed = changed_projects(
        {name: opened(found) for name, found in sources.items()},
        sink,
        pipeline=pipeline.name,
        project=pipeline.project and pipeline.project.absolute(),
        directory=pipeline.directory.absolute(),
        versions={name: found.version for name, found in sources.items()},
        models=None if released is None else released.fingerprint,
    )
    if changed is None:
        return None
    projects, here = changed
    if released is not None and released.fingerprint != models_fingerprint(projects):
        return ChangedModels(reason=f"{released.where} has other models than this computer")
    if importlib.util.find_spec("sqlmesh") is None:
        return ChangedModels(reason="SQLMesh is not installed here")
    database = sink.published()
    return None if database is None else (database, projects, here)


def _planned(
    pipeline: Pipeline, database: Path, projects: tuple[Path, ...], here: Standing
) -> ModelChanges:
    import duckdb

    from materia_runner.worker.owned_tables import read_record
    from materia_runner.worker.published_names import published_names
    from materia_runner.worker.sqlmesh.planned.model_changes import planned_changes
    from materia_runner.worker.sqlmesh.state import reason

    try:
        record = read_record(database, (*here.own, *here.others), published_names(database))
        record, _ = record.renamed([claim.pipeline for claim in here.own], pipeline.name)
        return planned_changes(database, projects, state=record.state_of(pipeline.name))
    except duckdb.Error as error:
        raise SinkError(f"{database} cannot be read: {reason(error)}") from error
