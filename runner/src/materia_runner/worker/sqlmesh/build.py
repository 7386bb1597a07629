"""Build SQLMesh models in a DuckDB file, incrementally, with unit tests and audits.

It imports SQLMesh, which takes about two seconds; only a transform with work to do calls it.
"""

from __future__ import annotations

import inspect
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar, cast

from materia.errors import StageError

from materia_runner.worker.sqlmesh.state import STATE

if TYPE_CHECKING:
    from sqlmesh import Context
    from sqlmesh.core.plan import Plan

    from materia_runner.worker.sqlmesh.console import QuietConsole
    from materia_runner.worker.sqlmesh.recorded.recorded_build import RecordedBuild
    from materia_runner.worker.sqlmesh.unit_tests.reached_tests import ReachedTests

C = TypeVar("C", bound=Callable[..., Any])
PROD = "prod"
# `LINE 1: ... FROM "materia"."serving"...` and a caret below: SQL that SQLMesh rendered.
QUOTED = re.compile(r"^LINE \d+: .*\n?(?: *\^ *$)?", re.MULTILINE)
DIFFERENT = "Data mismatch"
ENVIRONMENT = {
    # A pool of processes takes longer to start than a few dozen models to load.
    "MAX_FORK_WORKERS": "1",
    "SQLMESH__DISABLE_ANONYMIZED_ANALYTICS": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformRequest:
    """Request to build the models of projects.

    Attributes:
        database: DuckDB file with a loaded raw layer and SQLMesh's state; no other process has it
            open.
        projects: Folders of SQLMesh projects; each may read from the others.
        affected: Releases whose rows changed since the models were last built: incremental models
            are rebuilt for these, all others whole. By the folder of a source's models, only what
            reads from them is rebuilt. Empty when the raw layer has not changed; models with a
            changed definition are built all the same.
        progress: Callback after each model: its name, the number of models done, and of all. With
            zero of zero it names a step that begins.
        recordings: Folder of this user for recorded builds; None to keep none.
        state: Schema of SQLMesh's state; tables of the models are in schemas that begin with it.
        taken: Tables that another pipeline publishes in this database.
    """

    database: Path
    projects: tuple[Path, ...]
    affected: tuple[date, ...] | Mapping[Path, tuple[date, ...]] = ()
    progress: Callable[[str, int, int], None] = lambda _name, _done, _total: None
    recordings: Path | None = None
    state: str = STATE
    taken: frozenset[str] = frozenset()

    @property
    def may_be_recorded(self) -> bool:
        """Whether the database has one pipeline, and one source with models."""
        return self.state == STATE and not self.taken and not isinstance(self.affected, Mapping)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformReport:
    """Report of a build.

    Attributes:
        tables: Names of the finished tables and views, with their layer, sorted.
        models: Number of models built; 0 when nothing had changed.
        audits: Number of audits that ran.
        tests: Number of unit tests of models that ran and passed.
        skipped: Sentence with the reason why the unit tests did not run, empty when they did.
        warnings: Findings of non-blocking audits, one sentence each.
        made_in: Folder of the project that has the model, by the name of the table.
    """

    tables: tuple[str, ...]
    models: int
    audits: int
    tests: int
    skipped: str = ""
    warnings: tuple[str, ...] = ()
    made_in: Mapping[str, Path] = field(default_factory=dict)


def transform(request: TransformRequest) -> TransformReport:
    """Test, build and audit the models of the projects.

    A unit test runs when it did not pass before on the same models, with the same packages.
    It is idempotent and crash-safe: after a kill, the next call rebuilds the affected and the
    unfinished models. A second call has nothing to do if nothing is affected.

    Raises:
        StageError: a unit test or a blocking audit failed, or a model could not be built; the
            message names the model, the audit and the number of rows.
    """
    if (replayed := _replayed(request)) is not None:
        return replayed
    os.environ.update(ENVIRONMENT)
    # SQLMesh's libraries print warnings for their developers on every import.
    with warnings.catch_warnings(action="ignore"):
        return _transform(request)


def _replayed(request: TransformRequest) -> TransformReport | None:
    """The report of a build without SQLMesh, when the last one of this database was recorded."""
    from materia_runner.worker.sqlmesh.reach import all_days
    from materia_runner.worker.sqlmesh.recorded.replay_build import replay

    if not request.may_be_recorded:
        return None
    done = replay(
        request.database,
        request.recordings,
        request.projects,
        all_days(request.affected),
        request.progress,
    )
    if done is None:
        return None
    return TransformReport(
        tables=done.tables,
        models=done.models,
        audits=done.audits,
        tests=0,
        skipped=done.skipped,
        warnings=done.warnings,
        made_in={name: request.projects[place] for name, place in done.made_in.items()},
    )


def _recorded(
    context: Context,
    request: TransformRequest,
    plan: Plan,
    *,
    fingerprint: str,
    made_in: Mapping[str, Path],
    as_made: Mapping[str, str],
) -> tuple[Path, RecordedBuild] | None:
    """The finished build for the next run, and its file; None when there is nothing to keep."""
    from materia_runner.worker.sqlmesh.passed_tests import fingerprint_of_tests
    from materia_runner.worker.sqlmesh.recorded.earlier_builds import EarlierModels, earlier_models
    from materia_runner.worker.sqlmesh.recorded.find_build import note_ended
    from materia_runner.worker.sqlmesh.recorded.record_build import record
    from materia_runner.worker.sqlmesh.recorded.recorded_build import hash_of_state, path_of

    # A file that was edited meanwhile may have been read before or after that.
    if not request.may_be_recorded or fingerprint_of_tests(request.projects) != fingerprint:
        return None
    fetchall = context.engine_adapter.fetchall
    note_ended(fetchall, context.engine_adapter.execute)
    if (folder := request.recordings) is None:
        return None
    path = path_of(folder, fingerprint, hash_of_state(fetchall))
    places = {name: request.projects.index(one) for name, one in made_in.items()}
    # A build of the same models was recorded and did not fit: nothing of it is believed.
    shown = _versions_show_audits(context)
    usable = shown and not path.exists()
    earlier = earlier_models(folder, request.projects) if usable else EarlierModels(())
    build = record(context, plan, places, as_made, earlier)
    if build is None:
        return None
    return path, build if shown else replace(build, made_with="")


def _versions_show_audits(context: Context) -> bool:
    """Whether an edited audit makes new versions of its models; for SQLMesh, some edits do not."""
    from sqlmesh.core.audit.builtin import BUILT_IN_AUDITS

    audits = [one for model in context.models.values() for one in model.audit_definitions.values()]
    return not any(one.defaults or one.name in BUILT_IN_AUDITS for one in audits)


def _transform(request: TransformRequest) -> TransformReport:
    from sqlmesh.utils.errors import SQLMeshError

    from materia_runner.worker.sqlmesh.catalog_names import detach_from_catalog
    from materia_runner.worker.sqlmesh.check_models import (
        check_models,
        check_starts,
        finished_tables,
    )
    from materia_runner.worker.sqlmesh.console import console
    from materia_runner.worker.sqlmesh.passed_tests import (
        SKIPPED,
        UNREACHED,
        fingerprint_of_tests,
        note_passed,
        passed_before,
    )
    from materia_runner.worker.sqlmesh.reach import all_days
    from materia_runner.worker.sqlmesh.recorded.replay_build import keep
    from materia_runner.worker.sqlmesh.recorded.shipped_build import shipped_tests
    from materia_runner.worker.sqlmesh.state import drop_other_state, running_versions
    from materia_runner.worker.sqlmesh.unit_tests.reached_tests import reached_tests

    upgraded = [drop_other_state(request.database, running_versions(), request.state)]
    fingerprint = fingerprint_of_tests(request.projects)
    passed = passed_before(request.database, request.state)
    skipped = SKIPPED if passed.fingerprint == fingerprint else ""

    built: set[str] = set()

    def progress(name: str, done: int, total: int) -> None:
        built.add(name)
        request.progress(name, done, total)

    with console(progress) as quiet, TemporaryDirectory() as cache:
        try:
            with open_context(request, Path(cache), upgraded) as context:
                check_models(context, request.projects, taken=request.taken)
                check_starts(context, request.affected)
                tests, hashes = 0, passed.hashes
                if not skipped:
                    request.progress("run the unit tests", 0, 0)
                    shipped = request.projects if request.may_be_recorded else ()
                    known = passed.hashes | shipped_tests(shipped)
                    reached = reached_tests(context, request.projects, known)
                    tests, hashes = _test(context, reached), frozenset(reached.hashes)
                    skipped = UNREACHED if hashes and not reached.texts else ""
                request.progress("plan the build", 0, 0)
                with _with_rows(context, quiet):
                    plan = _build(context, all_days(request.affected))
                # A file that was edited meanwhile may have been read before or after that.
                if skipped != SKIPPED and fingerprint_of_tests(request.projects) == fingerprint:
                    note_passed(context, fingerprint, sorted(hashes), request.state)
                as_made = detach_from_catalog(context)
                tables = finished_tables(context)
                made_in = _made_in(context, request.projects)
                request.progress("record the build", 0, 0)
                recorded = _recorded(
                    context,
                    request,
                    plan,
                    fingerprint=fingerprint,
                    made_in=made_in,
                    as_made=as_made,
                )
            if recorded is not None:
                keep(request.database, *recorded)
        except SQLMeshError as error:
            raise StageError(_message(quiet, error)) from error
    return TransformReport(
        tables=tables,
        models=len(built),
        audits=quiet.audits,
        tests=tests,
        skipped=skipped,
        warnings=tuple(dict.fromkeys([*filter(None, upgraded), *quiet.warnings])),
        made_in={name: made_in[name] for name in tables},
    )


@contextmanager
def open_context(request: TransformRequest, cache: Path, upgraded: list[str]) -> Iterator[Context]:
    """A context whose state has only the project's own models; *upgraded* gets a message."""
    from materia_runner.worker.sqlmesh.project_definitions import UnusableStateError, keep_own
    from materia_runner.worker.sqlmesh.state import drop_state

    context = _opened(request, cache)
    try:
        try:
            keep_own(context, request.affected, request.state)
        except UnusableStateError as error:
            adapter = context.engine_adapter
            upgraded.append(
                drop_state(adapter.execute, adapter.fetchall, str(error), request.state)
            )
            context.close()
            context = _opened(request, cache)
        yield context
    finally:
        context.close()


def _opened(request: TransformRequest, cache: Path) -> Context:
    from materia_sqlmesh.config import build_config, connection
    from sqlmesh import Context
    from sqlmesh.core.config import GatewayConfig

    project, *beside = request.projects
    schemas: dict[str, Any] = {}
    if request.state != STATE:  # that of a second pipeline in this database
        schemas["physical_schema_mapping"] = {".*": f"{request.state}__tables"}
    config = build_config(
        {
            PROD: GatewayConfig(
                connection=connection(request.database.absolute()), state_schema=request.state
            )
        },
        **schemas,
        default_gateway=PROD,
        beside=beside,
        cache_dir=str(cache),
        with_tests=False,  # `_test` reads those that run
    )
    return Context(paths=[str(project)], config=config)


@contextmanager
def _with_rows(context: Context, console: QuietConsole) -> Iterator[None]:
    """Add the rows of failed audits to the console's messages at the end, also after an error."""
    from materia_runner.worker.sqlmesh.audit_rows import sentences_of

    try:
        yield
    finally:
        console.warnings += sentences_of(context, console.found)
        console.failures += sentences_of(context, console.failed)


def _test(context: Context, reached: ReachedTests) -> int:
    if not reached.texts:
        return 0
    context._model_test_metadata.extend(reached.read(context))  # noqa: SLF001 -- as its loaders do
    result = _unreported(context.test)()
    failed = [*result.failures, *result.errors]
    if failed:
        lines = [f"{test}: {_outcome(text)}" for test, text in failed]
        tests = "1 unit test" if len(failed) == 1 else f"{len(failed)} unit tests"
        raise StageError(f"{tests} of models failed\n" + "\n".join(lines))
    return result.testsRun


def _build(context: Context, affected: Sequence[date]) -> Plan:
    """Build new models, changed models and affected releases in one plan."""
    plan = plan_of(context, affected)
    context.apply(plan)
    return plan


def plan_of(context: Context, affected: Sequence[date]) -> Plan:
    """The plan for new models, changed models and affected releases; nothing is applied."""
    now = max([datetime.now(tz=UTC), *(_after(day) for day in affected)])
    builder = _unreported(context.plan_builder)(PROD, skip_tests=True, execution_time=now)
    return builder.build()


def _unreported(method: C) -> C:
    """A method of SQLMesh's context without its usage analytics.

    Analytics are switched off, but SQLMesh imports IPython before it checks that: 0.3 s, and 50 MB
    that a worker does not have.
    """
    bound: Any = method
    return cast("C", partial(inspect.unwrap(bound.__func__), bound.__self__))


def _after(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def _made_in(context: Context, projects: Sequence[Path]) -> dict[str, Path]:
    """The project folder of each model, by its name."""
    from materia_runner.worker.sqlmesh.reach import made_in

    return {
        context.models[name].name: project
        for project in projects
        for name in made_in(context, project)
    }


def _message(console: QuietConsole, error: Exception) -> str:
    return "\n".join(map(without_sql, dict.fromkeys(console.failures))) or without_sql(str(error))


def without_sql(message: str) -> str:
    """*message* without empty lines, and without the line that DuckDB quotes of rendered SQL."""
    lines = (line.rstrip() for line in QUOTED.sub("", message).splitlines())
    return "\n".join(filter(None, lines))


def _outcome(text: str) -> str:
    """What a failed unit test says in the end: SQLMesh's table of differences, or its error."""
    _, found, table = str(text).rpartition(DIFFERENT)
    lines = [line for line in (f"{found}{table}" if found else str(text)).splitlines() if line]
    if found:
        return "\n  ".join(line.rstrip() for line in lines if line.strip())
    return "; ".join([line.strip() for line in lines if line.strip()][-3:])
