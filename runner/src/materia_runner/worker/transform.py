"""Transform stage: load raw files, build tables with SQLMesh and publish them, incrementally.

It does nothing when nothing is new. It imports SQLMesh only when there is work to do, and then
once: loading, models, audits and publishing share this process. The raw files of several sources
are loaded one source after the other, and their models are built together.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING

from materia.data import Known, PublishRequest, RawFile
from materia.errors import PluginError, SourceError, StageError
from materia.protocols import Sink, Source
from materia.text import together

from materia_runner.bundled import bundled
from materia_runner.install_hints import install_command
from materia_runner.messages.events import Event, Log, Progress
from materia_runner.messages.partition_problems import listing, warn
from materia_runner.messages.stage_request import WorkerRequest
from materia_runner.worker.ownership import (
    Claim,
    Standing,
    check_removed,
    hash_of_files,
    refuse_removed,
    shown,
    standing,
    write_claims,
)
from materia_runner.worker.sqlmesh.fingerprint import models_fingerprint
from materia_runner.worker.sqlmesh.planned.changed_projects import (
    models_hash,
    models_of,
    with_sources,
)

UNPUBLISHED = (
    "the tables were not built, and nothing was published: readers keep those of the last run. "
    "Correct the model, the test or the data, and run again"
)
if TYPE_CHECKING:
    from materia_runner.worker.load_sources import Loaded

Files = Mapping[str, tuple[RawFile, ...]]


def build(
    sources: Mapping[str, Source],
    sink: Sink,
    request: WorkerRequest,
    emit: Callable[[Event], None],
    *,
    versions: Mapping[str, str],
) -> Mapping[str, object]:
    """Load new files, update the tables, and publish them.

    Raises:
        ConfigError: there is no model to run, or tables of a source would go unasked.
        SourceError: there is no file of a source to load.
        BusyError: another process writes to the sink's database.
        StageError: a model, an audit or a test failed.
    """
    projects = models_of(sources, project=request.project, directory=request.directory)
    models = with_sources(models_fingerprint(projects.values()), versions)
    if (current := _current(sink, request, models)) is not None:
        return current
    return _build_new(sources, sink, request, emit, projects=projects, models=models)


def up_to_date(
    sources: Mapping[str, Source],
    sink: Sink,
    request: WorkerRequest,
    *,
    versions: Mapping[str, str],
    models: str | None = None,
) -> Mapping[str, object] | None:
    """The result of the stage if there is nothing to do; None if there is work.

    It changes nothing, so the runner calls it before it rents a machine.

    Args:
        sources: The sources, by name.
        sink: The sink.
        request: The stage.
        versions: Version of the distribution of each source.
        models: Hash of the models that the worker would build, when they are not those here.

    Raises:
        ConfigError: there is no model to run, or tables of a source would go unasked.
        SourceError: there is no file to load.
    """
    if models is None:
        models = models_fingerprint(
            models_of(sources, project=request.project, directory=request.directory).values()
        )
    return _current(sink, request, with_sources(models, versions))


def refuse_to_remove(sink: Sink, request: WorkerRequest) -> tuple[Standing, tuple[str, ...]]:
    """What is published, and the published sources that the run removes.

    Raises:
        ConfigError: a source would be removed unasked; the message names its tables.
    """
    here = standing(sink.fingerprint(), pipeline=request.pipeline, sources=request.sources)
    removed = here.removed(request.sources)
    tables: Mapping[str, Sequence[str]] = {}
    if not set(removed) <= set(request.drop) and (database := sink.published()) is not None:
        from materia_runner.worker.owned_tables import read_record

        record = read_record(database, here.own, ())
        tables = record.published({claim.pipeline for claim in here.own})
    removed = refuse_removed(
        here, request.sources, drop=request.drop, sink=request.sink, tables=tables
    )
    return here, removed


def _as_built(models: str, projects: Mapping[str, Path], request: WorkerRequest) -> str:
    """*models*, or a text that fits no other run when a file was edited during this one.

    SQLMesh may have read that file before or after the edit, so the next run builds again.
    """
    before, _, _ = models.partition(" ")
    is_same = before == models_fingerprint(projects.values())
    return models if is_same else f"{models} {request.run}"


def _current(sink: Sink, request: WorkerRequest, models: str) -> Mapping[str, object] | None:
    here, removed = refuse_to_remove(sink, request)
    files = _files_of(sink, request)
    now = _claim(request, files, models)
    published = {name: content for claim in here.own for name, content in claim.sources.items()}
    is_same = [claim.models for claim in here.own] == [now.models]
    is_same = is_same and not removed and published.keys() == now.sources.keys()
    if not is_same or any(published[name] != now.sources[name] for name in request.fetched):
        return None
    result = {"published": False, "files": sum(map(len, files.values())), "tables": []}
    return {**result, **_left_alone(here)}


def _claim(
    request: WorkerRequest, files: Files, models: str, *, unread: Mapping[str, str] | None = None
) -> Claim:
    """What the run publishes; *unread* has the hashes of sources that it does not load."""
    contents = {name: hash_of_files(files[name]) for name in request.sources}
    return Claim(
        pipeline=request.pipeline,
        sources={**contents, **(unread or {})},
        models=models_hash(models),
    )


def _left_alone(here: Standing) -> dict[str, object]:
    """For the result: the pipelines whose tables stay as they are."""
    others = [{"pipeline": one.pipeline, "sources": [*one.sources]} for one in here.others]
    return {"others": others} if others else {}


def _files_of(sink: Sink, request: WorkerRequest) -> Files:
    files = {name: _files_in_use(sink.known(request.kept_as(name))) for name in request.sources}
    if missing := [name for name, found in files.items() if not found]:
        raise SourceError(
            f"no files of {together(missing)} to transform: none was fetched yet; run `materia run`"
        )
    return files


def _build_new(
    sources: Mapping[str, Source],
    sink: Sink,
    request: WorkerRequest,
    emit: Callable[[Event], None],
    *,
    projects: Mapping[str, Path],
    models: str,
) -> Mapping[str, object]:
    database = sink.checkout()
    ahead = _import_ahead(request, database, tuple(projects.values()))
    here, removed = refuse_to_remove(sink, request)  # no other run publishes from here on
    from materia_runner.worker.load_sources import load_sources

    loaded = load_sources(
        sources,
        _files_of(sink, request),
        here,
        database=database,
        sink=sink,
        request=request,
        emit=emit,
    )
    warn(loaded.remarks, emit)
    files = {name: _files_in_use(sink.known(request.kept_as(name))) for name in request.sources}
    if unusable := [name for name, found in files.items() if not found]:
        raise SourceError(f"{together(unusable)}: no file can be used\n{listing(loaded.problems)}")

    emit(Progress(phase="prepare the models", done=0, total=None, unit="models"))
    ahead.join()  # a second import in this thread could see half-imported modules
    from materia_runner.worker.sqlmesh.build import TransformRequest, transform

    def progress(phase: str, done: int, total: int) -> None:
        emit(Progress(phase=phase, done=done, total=total or None, unit="models"))

    asking = TransformRequest(
        database=loaded.database,
        projects=tuple(projects.values()),
        affected=_affected(loaded, projects),
        progress=progress,
        recordings=request.recordings,
        state=loaded.record.state_of(request.pipeline),
        taken=loaded.of_others,
    )
    try:
        report = transform(asking)
    except StageError as error:
        raise StageError(f"{UNPUBLISHED}\n{indent(str(error), '  ')}") from error
    gone = set(loaded.models_of(removed))
    before = [name for name in loaded.before if name not in {*loaded.of_others, *gone}]
    unbuilt = check_removed(before, report.tables, project=request.project, sink=request.sink)
    warnings = [*report.warnings, *unbuilt, *unserved(request, report.tables)]
    if gone := gone.difference(report.tables):
        warnings.append(f"removed, as --drop says: {shown(sorted(gone))}")
    for warning in warnings:
        emit(Log(level="warning", message=warning))
    names = {folder: name for name, folder in projects.items()}
    loaded.finish(
        {table: names[folder] for table, folder in report.made_in.items()}, removed=removed
    )
    emit(Progress(phase="publish", done=0, total=None, unit="models"))
    claim = _claim(request, files, _as_built(models, projects, request), unread=loaded.unread)
    tables = sink.publish(
        PublishRequest(
            run=request.run,
            database=loaded.database,
            tables=tuple(sorted({*report.tables, *loaded.of_others})),
            fingerprint=write_claims([claim, *here.others]),
        )
    )
    where = sink.published()
    return {
        "published": True,
        "files": sum(map(len, files.values())),
        **loaded.figures(),
        "models": report.models,
        "audits": report.audits,
        "tests": report.tests,
        "tests_skipped": report.skipped,
        "tables": [asdict(table) for table in tables if table.name in set(report.tables)],
        "database": None if where is None else str(where),
        "problems": [asdict(problem) for problem in loaded.problems],
        "remarks": [asdict(remark) for remark in loaded.remarks],
        "warnings": warnings,
        **_left_alone(here),
    }


def _affected(
    loaded: Loaded, projects: Mapping[str, Path]
) -> tuple[date, ...] | dict[Path, tuple[date, ...]]:
    """The affected releases: of the only source, or by the folder of each source's models.

    A source without models can be read by any model, so its releases count for all.
    """
    if len(loaded.affected) == 1 or any(name not in projects for name in loaded.affected):
        return tuple(sorted({day for days in loaded.affected.values() for day in days}))
    return {projects[name]: days for name, days in loaded.affected.items()}


# The package with the SQLMesh project for the sources that come with materia.
PROJECT = "materia-transform"


def unserved(request: WorkerRequest, tables: Sequence[str]) -> list[str]:
    """A warning when only the source's own tables are built, because there is no project."""
    if request.project is not None or any(name.startswith("serving.") for name in tables):
        return []
    is_ours = any(f"materia-{name}" in bundled() for name in request.sources)
    ours = f"install {PROJECT}, or " if is_ours else ""
    itself = "itself" if len(request.sources) == 1 else "themselves"
    message = (
        f"no SQLMesh project: materia builds only the tables of {together(request.sources)} "
        f"{itself}, raw and staging; {ours}set transform.project in materia.toml to the folder of "
        "a project"
    )
    return [message]


def _import_ahead(
    request: WorkerRequest, database: Path, projects: tuple[Path, ...]
) -> threading.Thread:
    """Import SQLMesh in a thread during the load, which waits for the disk and for DuckDB.

    Not when a recorded build will do without it.

    Raises:
        PluginError: SQLMesh is not installed.
    """
    if importlib.util.find_spec("sqlmesh") is None:
        raise PluginError(
            "the stage transform needs SQLMesh, which is not installed here; to add it: "
            + install_command("materia-runner[transform]")
        )
    from materia_runner.worker.sqlmesh.build import ENVIRONMENT
    from materia_runner.worker.sqlmesh.recorded.find_build import is_recorded

    # SQLMesh reads both on import. Without them it would write to the user's home, and read a
    # configuration from there.
    os.environ.update(ENVIRONMENT, SQLMESH_HOME=str(request.workspace / "sqlmesh"))
    name = "duckdb" if is_recorded(database, request.recordings, projects) else "sqlmesh"
    ahead = threading.Thread(target=importlib.import_module, args=(name,), daemon=True)
    ahead.start()
    return ahead


def _files_in_use(known: Mapping[str, Known]) -> tuple[RawFile, ...]:
    return tuple(one.raw for _, one in sorted(known.items()) if one.raw is not None)
