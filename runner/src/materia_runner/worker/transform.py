"""Transform stage: load raw files, build tables with SQLMesh and publish them, incrementally.

It does nothing when nothing is new. It imports SQLMesh only when there is work to do, and then
once: loading, models, audits and publishing share this process.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from materia.data import Known, LoadReport, LoadRequest, PublishRequest, RawFile
from materia.errors import ConfigError, PluginError, SinkError, SourceError
from materia.protocols import Sink, Source

from materia_runner.bundled import bundled
from materia_runner.install_hints import install_command
from materia_runner.messages.events import Event, Log, Progress
from materia_runner.messages.partition_problems import Problem, listing, warn
from materia_runner.messages.stage_request import WorkerRequest
from materia_runner.secrets.redaction import redact
from materia_runner.worker.load_anew import load_or_start_anew
from materia_runner.worker.ownership import (
    check_removed,
    fingerprint_with_source,
    published_names,
    refuse_other_source,
)
from materia_runner.worker.sqlmesh.fingerprint import models_fingerprint
from materia_runner.worker.sqlmesh.replay_build import is_recorded


def build(
    source: Source,
    sink: Sink,
    request: WorkerRequest,
    emit: Callable[[Event], None],
    *,
    version: str,
) -> Mapping[str, object]:
    """Load new files, update the tables, and publish them.

    Raises:
        ConfigError: there is no model to run.
        SourceError: there is no file to load.
        BusyError: another process writes to the sink's database.
        StageError: a model, an audit or a test failed.
    """
    projects = _projects(source, request)
    models = _with_source(models_fingerprint(projects), request, version)
    if (current := _current(sink, request, models)) is not None:
        return current
    return _build_new(source, sink, request, emit, projects=projects, models=models)


def up_to_date(
    source: Source,
    sink: Sink,
    request: WorkerRequest,
    *,
    version: str,
    models: str | None = None,
) -> Mapping[str, object] | None:
    """The result of the stage if there is nothing to do; None if there is work.

    It changes nothing, so the runner calls it before it rents a machine.

    Args:
        source: The source.
        sink: The sink.
        request: The stage.
        version: Version of the source's distribution.
        models: Hash of the models that the worker would build, when they are not those here.

    Raises:
        ConfigError: there is no model to run.
        SourceError: there is no file to load.
    """
    if models is None:
        models = models_fingerprint(_projects(source, request))
    return _current(sink, request, _with_source(models, request, version))


def _projects(source: Source, request: WorkerRequest) -> tuple[Path, ...]:
    projects = tuple(folder for folder in (source.models(), request.project) if folder is not None)
    if not projects:
        raise ConfigError(
            f"there is nothing to transform: {request.source} has no models, and there is no "
            f"SQLMesh project at {request.directory}; set transform.project in materia.toml"
        )
    return projects


def _with_source(models: str, request: WorkerRequest, version: str) -> str:
    return f"{models} {request.source} {version}"


def _as_built(models: str, projects: tuple[Path, ...], request: WorkerRequest) -> str:
    """*models*, or a text that fits no other run when a file was edited during this one.

    SQLMesh may have read that file before or after the edit, so the next run builds again.
    """
    before, _, _ = models.partition(" ")
    return models if before == models_fingerprint(projects) else f"{models} {request.run}"


def _current(sink: Sink, request: WorkerRequest, models: str) -> Mapping[str, object] | None:
    files = _files_in_use(sink.known(request.kept_as))
    if not files:
        raise SourceError(
            f"no files of {request.source} to transform: none was fetched yet; run `materia run`"
        )
    fingerprint = sink.fingerprint()
    refuse_other_source(fingerprint, source=request.source, sink=request.sink)
    if fingerprint != fingerprint_with_source(request.source, fingerprint_of(files, models)):
        return None
    return {"published": False, "files": len(files), "tables": []}


def _build_new(
    source: Source,
    sink: Sink,
    request: WorkerRequest,
    emit: Callable[[Event], None],
    *,
    projects: tuple[Path, ...],
    models: str,
) -> Mapping[str, object]:
    known = sink.known(request.kept_as)
    files = _files_in_use(known)
    database = sink.checkout()
    ahead = _import_ahead(request, database, projects)
    before = published_names(database)
    scratch = request.workspace / "load"
    scratch.mkdir(exist_ok=True)

    def loaded(_key: str, left: int) -> None:
        done = len(files) - left
        emit(Progress(phase="load", done=done, total=len(files), unit="partitions"))

    emit(Progress(phase="load", done=0, total=len(files), unit="partitions"))
    asking = LoadRequest(
        database=database,
        files=files,
        find=lambda partition, file, sha256: sink.find_raw(
            request.kept_as, partition, file, sha256
        ),
        directory=scratch,
        published=sink.published(),
        loaded=loaded,
    )
    load, anew = load_or_start_anew(source, asking)
    if anew:
        emit(Log(level="warning", message=anew))
    if lost := set(load.removed) - set(known):
        _refuse_losses(sorted(lost), sink, database, request)
    problems = []
    for file in files:
        if (reason := load.refused.get(file.partition)) is not None:
            reason = redact(reason, request.hidden)  # the sink stores it
            sink.refuse(request.kept_as, file, reason)
            problems.append(Problem(partition=file.partition, url=file.url, reason=reason))
    remarks = _remarks(load, files, request.hidden)
    warn(remarks, emit)
    if problems:
        files = _files_in_use(sink.known(request.kept_as))
    if not files:
        raise SourceError(f"{request.source}: no file can be used\n{listing(problems)}")

    ahead.join()  # a second import in this thread could see half-imported modules
    from materia_runner.worker.sqlmesh.build import TransformRequest, transform

    def progress(phase: str, done: int, total: int) -> None:
        emit(Progress(phase=phase, done=done, total=total, unit="models"))

    emit(Progress(phase="prepare the models", done=0, total=None, unit="models"))
    report = transform(
        TransformRequest(
            database=database,
            projects=projects,
            affected=load.affected,
            progress=progress,
            recordings=request.recordings,
        )
    )
    removed = check_removed(before, report.tables, project=request.project, sink=request.sink)
    warnings = [*report.warnings, *removed, *unserved(request, report.tables)]
    for warning in warnings:
        emit(Log(level="warning", message=warning))
    emit(Progress(phase="publish", done=0, total=None, unit="models"))
    tables = sink.publish(
        PublishRequest(
            run=request.run,
            database=database,
            tables=report.tables,
            fingerprint=fingerprint_with_source(
                request.source, fingerprint_of(files, _as_built(models, projects, request))
            ),
        )
    )
    where = sink.published()
    return {
        "published": True,
        "files": len(files),
        "loaded": list(load.loaded),
        "removed": list(load.removed),
        "rows_added": load.rows_added,
        "rows_ended": load.rows_ended,
        "models": report.models,
        "audits": report.audits,
        "tests": report.tests,
        "tests_skipped": report.skipped,
        "tables": [asdict(table) for table in tables],
        "database": None if where is None else str(where),
        "problems": [asdict(problem) for problem in problems],
        "remarks": [asdict(remark) for remark in remarks],
        "warnings": warnings,
    }


def _remarks(
    load: LoadReport, files: Sequence[RawFile], secrets: Sequence[str]
) -> tuple[Problem, ...]:
    """The source's remarks about partitions in use, with secrets redacted."""
    urls = {file.partition: file.url for file in files}
    return tuple(
        Problem(partition=key, url=urls.get(key, ""), reason=redact(remark, secrets))
        for key, said in sorted(load.remarks.items())
        for remark in said
    )


# The package with the SQLMesh project for the sources that come with materia.
PROJECT = "materia-transform"


def unserved(request: WorkerRequest, tables: Sequence[str]) -> list[str]:
    """A warning when only the source's own tables are built, because there is no project."""
    if request.project is not None or any(name.startswith("serving.") for name in tables):
        return []
    ours = f"install {PROJECT}, or " if f"materia-{request.source}" in bundled() else ""
    message = (
        f"no SQLMesh project: materia builds only the tables of {request.source} itself, raw and "
        f"staging; {ours}set transform.project in materia.toml to the folder of a project"
    )
    return [message]


def _refuse_losses(lost: Sequence[str], sink: Sink, database: Path, request: WorkerRequest) -> None:
    """Stop when the published tables would lose partitions that the sink does not know.

    The sink still knows a partition that materia took out of use, with the reason; and real files
    may replace those of the sample. The working copy has lost the partitions already, and the next
    run would resume it, so it is removed.

    Raises:
        SinkError: the lost partitions are not those of the sample.
    """
    sample = replace(request, sample=True).kept_as
    if not request.sample and set(lost) <= set(sink.known(sample)):
        return
    database.unlink(missing_ok=True)
    more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
    raise SinkError(
        f"{request.sink}: the published tables contain {lost[0]}{more} of {request.source}, but "
        "the sink has no raw file of it; nothing was published. Run again, in case the sink's "
        "listing was incomplete. If another pipeline published there, set another place for this "
        f"one under [sinks.{request.sink}] in materia.toml. If raw files were removed on purpose, "
        "move the published database away, and the next run will rebuild it from the others"
    )


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

    # SQLMesh reads both on import. Without them it would write to the user's home, and read a
    # configuration from there.
    os.environ.update(ENVIRONMENT, SQLMESH_HOME=str(request.workspace / "sqlmesh"))
    name = "duckdb" if is_recorded(database, request.recordings, projects) else "sqlmesh"
    ahead = threading.Thread(target=importlib.import_module, args=(name,), daemon=True)
    ahead.start()
    return ahead


def _files_in_use(known: Mapping[str, Known]) -> tuple[RawFile, ...]:
    return tuple(one.raw for _, one in sorted(known.items()) if one.raw is not None)


def fingerprint_of(files: Sequence[RawFile], models: str) -> str:
    """Fingerprint of the tables' inputs: the content of the files and the models that read it.

    A file that is republished with the same rows has the same content, and so the same fingerprint.
    """
    contents = [(file.partition, file.file, file.content) for file in files]
    return hashlib.sha256(json.dumps([models, contents]).encode()).hexdigest()
