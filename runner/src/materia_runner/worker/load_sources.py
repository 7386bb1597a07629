"""Load the raw files of every source into one working copy, and note which source made what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path

from materia.data import LoadReport, LoadRequest, RawFile
from materia.errors import SinkError
from materia.protocols import Sink, Source

from materia_runner.messages.events import Event, Log, Progress
from materia_runner.messages.partition_problems import Problem
from materia_runner.messages.stage_request import WorkerRequest
from materia_runner.secrets.redaction import redact
from materia_runner.worker.load_anew import load_or_start_anew
from materia_runner.worker.owned_tables import (
    KINDS,
    LOADING,
    MODEL,
    WORKING,
    Owned,
    Record,
    drop_built,
    drop_objects,
    drop_states,
    model_of,
    objects_in,
    read_record,
    write_record,
)
from materia_runner.worker.ownership import Standing
from materia_runner.worker.published_names import published_names


@dataclass(slots=True, kw_only=True)
class Loaded:
    """A working copy with the raw files of all sources.

    Attributes:
        database: The working copy.
        pipeline: Name of the pipeline.
        before: Names of the tables that it had when it was published.
        record: Who made what in it.
        of_others: Names of the published tables of other pipelines.
        unread: Published hash of the files by source, for the sources that were not loaded.
        affected: Affected releases, by source.
        reports: What each load did, by source.
        problems: Files that turned out to be unusable.
        remarks: Warnings of the sources about partitions in use.
        labelled: The name of a source in messages, by its name.
    """

    database: Path
    pipeline: str
    before: tuple[str, ...]
    record: Record
    of_others: frozenset[str]
    unread: Mapping[str, str]
    affected: dict[str, tuple[date, ...]] = field(default_factory=dict)
    reports: dict[str, LoadReport] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    remarks: list[Problem] = field(default_factory=list)
    labelled: Callable[[str], str] = str

    def models_of(self, sources: Sequence[str]) -> list[str]:
        """The published tables that came with some sources of this pipeline."""
        made = self.record.models({self.pipeline})
        return [name for name, source in made.items() if source in sources]

    def figures(self) -> dict[str, object]:
        """For the result: keys of partitions, after their source where there are several."""

        def keys(found: Callable[[LoadReport], Sequence[str]]) -> list[str]:
            return [
                "/".join(filter(None, (self.labelled(name), key)))
                for name, report in self.reports.items()
                for key in found(report)
            ]

        return {
            "loaded": keys(lambda report: report.loaded),
            "removed": keys(lambda report: report.removed),
            "rows_added": sum(report.rows_added for report in self.reports.values()),
            "rows_ended": sum(report.rows_ended for report in self.reports.values()),
        }

    def finish(self, made: Mapping[str, str], *, removed: Sequence[str]) -> None:
        """Note the source of each built table, and drop what the *removed* sources left behind."""
        import duckdb

        gone = [
            one
            for one in self.record.owned
            if one.pipeline == self.pipeline and one.source in removed
        ]
        if gone:
            names = [f"{one.schema}.{one.name}" for one in gone if one.kind == MODEL]
            with duckdb.connect(str(self.database)) as connection:
                drop_built(connection, self.record.state_of(self.pipeline), names)
                drop_objects(connection, [one for one in gone if one.kind != MODEL])
        self.record = self.record.without(
            lambda one: (
                one in gone
                or one.kind == WORKING
                or (one.pipeline, one.kind) == (self.pipeline, MODEL)
            )
        ).noting(model_of(self.pipeline, source, table) for table, source in made.items())
        write_record(self.database, self.record)


def load_sources(
    sources: Mapping[str, Source],
    files: Mapping[str, tuple[RawFile, ...]],
    here: Standing,
    *,
    database: Path,
    sink: Sink,
    request: WorkerRequest,
    emit: Callable[[Event], None],
) -> Loaded:
    """Load the files of the sources that this run fetches into the working copy *database*.

    A source that was never published is loaded too: the models need its tables. A copy that a
    failed run of another pipeline left behind is replaced by a new one, and so is one with rows of
    a source that this run does not fetch.

    Raises:
        SinkError: the sink no longer has the files of published partitions.
        SourceError: a source cannot load.
    """
    own = [claim.pipeline for claim in here.own]
    claims = (*here.own, *here.others)
    record = read_record(database, claims, published_names(database))
    if _is_of_another(record, [*own, request.pipeline], request.fetched):
        # It would be published with raw rows that no model was built from.
        database.unlink()
        database = sink.checkout()
        record = read_record(database, claims, published_names(database))
    before = published_names(database)
    record = _interrupted(record, database)
    record, surplus = record.renamed(own, request.pipeline)
    if surplus:
        drop_states(database, surplus)
    state = record.state_of(request.pipeline)
    record = replace(record, states=tuple({**dict(record.states), request.pipeline: state}.items()))
    hashes = {name: content for claim in here.own for name, content in claim.sources.items()}
    known = _published_sources(sink, here, before)
    there = set(request.sources) if known is None else known
    todo = [name for name in request.sources if name in request.fetched or name not in there]
    record = record.noting(
        Owned(pipeline=request.pipeline, source=name, kind=WORKING, schema="", name="")
        for name in todo
    )
    loaded = Loaded(
        database=database,
        pipeline=request.pipeline,
        before=before,
        record=record,
        of_others=frozenset(record.models({claim.pipeline for claim in here.others})),
        unread={name: hashes.get(name, "") for name in request.sources if name not in todo},
        labelled=request.labelled,
    )
    total = sum(len(files[name]) for name in todo)
    emit(Progress(phase="load", done=0, total=total, unit="partitions"))
    done = 0
    for number, name in enumerate(todo):
        scratch = request.workspace / f"load-{number}"
        scratch.mkdir(exist_ok=True)

        def told(_key: str, left: int, *, behind: int) -> None:
            emit(Progress(phase="load", done=behind - left, total=total, unit="partitions"))

        done += len(files[name])
        asking = LoadRequest(
            database=database,
            files=files[name],
            find=partial(sink.find_raw, request.kept_as(name)),
            directory=scratch,
            published=sink.published() if name in there else None,
            loaded=partial(told, behind=done),
        )
        _load(loaded, name, sources[name], asking, sink=sink, request=request, emit=emit)
    return loaded


def _load(
    loaded: Loaded,
    name: str,
    source: Source,
    asking: LoadRequest,
    *,
    sink: Sink,
    request: WorkerRequest,
    emit: Callable[[Event], None],
) -> None:
    pipeline, database = loaded.pipeline, loaded.database
    mark = Owned(pipeline=pipeline, source=name, kind=LOADING, schema="", name="")
    own = loaded.record.of(pipeline, name)
    foreign = [one for one in loaded.record.owned if (one.pipeline, one.source) != (pipeline, name)]
    alone = len(request.sources) == 1 and not loaded.of_others
    write_record(database, loaded.record.noting([mark]))
    there = objects_in(database)
    report, anew = load_or_start_anew(source, asking, own=None if alone or not foreign else own)
    if anew:
        emit(Log(level="warning", message=" ".join(filter(None, (_head(request, name), anew)))))
    new = objects_in(database) - (there if own or not alone else set())
    loaded.record = loaded.record.noting(
        Owned(pipeline=pipeline, source=name, kind=kind, schema=schema, name=thing)
        for kind, schema, thing in new
    )
    write_record(database, loaded.record)
    known = sink.known(request.kept_as(name))
    if lost := set(report.removed) - set(known):
        _refuse_losses(sorted(lost), sink, database, name, request)
    label = request.labelled(name)
    for file in asking.files:
        if (reason := report.refused.get(file.partition)) is not None:
            reason = redact(reason, request.hidden)  # the sink stores it
            sink.refuse(request.kept_as(name), file, reason)
            loaded.problems.append(
                Problem(source=label, partition=file.partition, url=file.url, reason=reason)
            )
    loaded.remarks += _remarks(report, asking.files, request.hidden, label)
    loaded.reports[name] = report
    loaded.affected[name] = report.affected


def _head(request: WorkerRequest, name: str) -> str:
    return f"{label}:" if (label := request.labelled(name)) else ""


def _published_sources(sink: Sink, here: Standing, before: Sequence[str]) -> set[str] | None:
    """The sources of this pipeline with tables in the published database; None if it is unknown.

    The working copy may have more: tables of a load that was never published.
    """
    database = sink.published()
    if database is None:
        return set()
    record = read_record(database, (*here.own, *here.others), before)
    if not any(one.kind in KINDS for one in record.owned):
        return None
    pipelines = {claim.pipeline for claim in here.own}
    return {one.source for one in record.owned if one.kind in KINDS and one.pipeline in pipelines}


def _is_of_another(record: Record, names: Sequence[str], sources: Sequence[str]) -> bool:
    """Whether a failed run left the copy behind that was of another pipeline or more *sources*."""
    return any(
        one.kind == WORKING and (one.pipeline not in names or one.source not in sources)
        for one in record.owned
    )


def _interrupted(record: Record, database: Path) -> Record:
    """The record with what the load of a killed run made before it could be noted."""
    marks = [one for one in record.owned if one.kind == LOADING]
    record = record.without(lambda one: one.kind == LOADING)
    if not marks:
        return record
    named = {(one.kind, one.schema, one.name) for one in record.owned if one.kind != MODEL}
    return record.noting(
        replace(marks[0], kind=kind, schema=schema, name=name)
        for kind, schema, name in objects_in(database) - named
    )


def _remarks(
    load: LoadReport, files: Sequence[RawFile], secrets: Sequence[str], label: str
) -> list[Problem]:
    """The source's remarks about partitions in use, with secrets redacted."""
    urls = {file.partition: file.url for file in files}
    return [
        Problem(source=label, partition=key, url=urls.get(key, ""), reason=redact(remark, secrets))
        for key, said in sorted(load.remarks.items())
        for remark in said
    ]


def _refuse_losses(
    lost: Sequence[str], sink: Sink, database: Path, source: str, request: WorkerRequest
) -> None:
    """Stop when the published tables would lose partitions that the sink does not know.

    The sink still knows a partition that materia took out of use, with the reason; and real files
    may replace those of the sample. The working copy has lost the partitions already, and the next
    run would resume it, so it is removed.

    Raises:
        SinkError: the lost partitions are not those of the sample.
    """
    sample = replace(request, sample=True).kept_as(source)
    if not request.sample and set(lost) <= set(sink.known(sample)):
        return
    database.unlink(missing_ok=True)
    more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
    raise SinkError(
        f"{request.sink}: the published tables contain {lost[0]}{more} of {source}, but "
        "the sink has no raw file of it; nothing was published. Run again, in case the sink's "
        "listing was incomplete. If another pipeline published there, set another place for this "
        f"one under [sinks.{request.sink}] in materia.toml. If raw files were removed on purpose, "
        "move the published database away, and the next run will rebuild it from the others"
    )
