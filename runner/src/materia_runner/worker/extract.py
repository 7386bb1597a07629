"""Extract stage: incremental fetch of new and changed partitions of all sources into the sink.

It fetches a few partitions of each source at a time and records each as it arrives, so an
interrupted run has kept all of them up to then. A failed partition does not affect the others, and
a failed source none of the other sources.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime

from materia.data import (
    Absent,
    Fetched,
    FetchResult,
    Known,
    Partition,
    PartitionsRequest,
    Refused,
    Unchanged,
)
from materia.errors import SourceError
from materia.protocols import Sink, Source

from materia_runner.messages.events import Event, Log, Progress
from materia_runner.messages.partition_problems import Problem, listing, warn
from materia_runner.messages.stage_request import WorkerRequest
from materia_runner.secrets.redaction import redact
from materia_runner.worker.fetch import Asked, Counts, Received, fetch_all


def extract(
    sources: Mapping[str, Source],
    sink: Sink,
    request: WorkerRequest,
    emit: Callable[[Event], None],
) -> Mapping[str, object]:
    """Fetch the partitions that the sources list now, and record them in the sink.

    Raises:
        SourceError: partitions of a source failed, and the sink has no usable file of it at all;
            everything of the other sources is recorded.
        SinkError: the sink cannot keep a file.
    """
    asked = [_listed(name, sources[name], sink, request) for name in request.fetched]
    total = sum(one.counts.asked for one in asked)
    received = Received(emit)
    for one, partition, result in fetch_all(
        asked,
        workspace=request.workspace,
        everything=request.everything,
        received=received.add,
    ):
        counts, before = one.counts, one.known.get(partition.key)
        if isinstance(result, SourceError):
            counts.failed += 1
            counts.problems.append(_problem(one, partition, str(result)))
        else:
            kept = _without(request.hidden, result)
            sink.record(one.kept_as, partition, kept)
            _count(one, partition, kept, before)
        done = sum(each.counts.answered for each in asked)
        emit(Progress(phase="fetch", done=done, total=total, unit="partitions"))
    return _ended(asked, sink, emit, received=received.total)


def _listed(name: str, source: Source, sink: Sink, request: WorkerRequest) -> Asked:
    """What to ask a source for; of several sources, one that cannot list it has a problem."""
    kept_as = request.kept_as(name)
    known, counts = sink.known(kept_as), Counts()
    try:
        partitions = source.partitions(
            PartitionsRequest(known=known, now=datetime.now(UTC), everything=request.everything)
        )
    except SourceError as error:
        if len(request.sources) == 1:
            raise
        partitions = ()
        counts.problems.append(Problem(source=name, partition="", url="", reason=str(error)))
    counts.asked = len(partitions)
    return Asked(
        name=name,
        label=request.labelled(name),
        kept_as=kept_as,
        source=source,
        known=known,
        partitions=partitions,
        counts=counts,
    )


def _ended(
    asked: Sequence[Asked], sink: Sink, emit: Callable[[Event], None], *, received: int
) -> Mapping[str, object]:
    """The result of the stage, after the warnings of every source.

    Raises:
        SourceError: the sink has no usable file of a source.
    """
    warn([remark for one in asked for remark in one.counts.remarks], emit)
    failures, in_use = [], {}
    for one in asked:
        after = sink.known(one.kept_as)
        in_use[one.name] = sum(each.raw is not None for each in after.values())
        _tell_quarantined(one, after, emit)
        _tell_denied(one, emit)
        if one.counts.not_asked and in_use[one.name]:
            what = " ".join(filter(None, (str(one.counts.not_asked), "partitions", _of(one))))
            message = f"skipped {what}, because all before them failed"
            emit(Log(level="warning", message=message))
        if not in_use[one.name] and (failure := _failure(one)):
            failures.append(failure)
    if failures:
        raise SourceError("\n".join(failures))
    result = {
        field.name: _sum([getattr(one.counts, field.name) for one in asked])
        for field in fields(Counts)
    }
    values = {**result, "bytes": received, "in_use": sum(in_use.values())}
    if asked[0].label:
        values["sources"] = [
            {
                "source": one.name,
                **{name: getattr(one.counts, name) for name in NUMBERS},
                "in_use": in_use[one.name],
            }
            for one in asked
        ]
    return values


NUMBERS = ("asked", "fetched", "unchanged", "absent", "denied", "refused", "failed", "not_asked")


def _sum(values: Sequence[int | list[Problem]]) -> object:
    numbers = [value for value in values if isinstance(value, int)]
    problems = [asdict(one) for value in values if isinstance(value, list) for one in value]
    return sum(numbers) if numbers else problems


def _failure(one: Asked) -> str:
    """Why there is no file of a source; empty when it simply has none yet."""
    counts = one.counts
    if one.partitions and counts.absent == len(one.partitions):
        return (
            f"{one.name}: none of the {counts.absent} requested partitions exists, the first at "
            f"{one.partitions[0].url}: check the address under [sources.{one.name}] in materia.toml"
        )
    if not counts.problems:
        return ""
    not_asked = (
        f"\n  skipped {counts.not_asked} more, because all before them failed"
        if counts.not_asked
        else ""
    )
    return (
        f"{one.name}: no file could be fetched; check the network and the settings "
        f"under [sources.{one.name}], and run again\n"
        f"{listing(counts.problems)}{not_asked}"
    )


def _without(secrets: Sequence[str], result: FetchResult) -> FetchResult:
    """The result with *secrets* redacted, ready to be recorded."""
    if isinstance(result, Refused):
        return replace(result, reason=redact(result.reason, secrets))
    if isinstance(result, Fetched) and result.remarks:
        said = tuple(redact(remark, secrets) for remark in result.remarks)
        return replace(result, remarks=said)
    return result


def _count(one: Asked, partition: Partition, result: FetchResult, before: Known | None) -> None:
    counts = one.counts
    match result:
        case Fetched(remarks=remarks):
            counts.fetched += 1
            counts.remarks += [_problem(one, partition, remark) for remark in remarks]
        case Unchanged():
            counts.unchanged += 1
        case Absent(removed=False, reason=reason) if before is not None and before.raw is not None:
            counts.denied += 1
            said = reason or "the source says that there is no such file"
            counts.denials.append(_problem(one, partition, f"{said}, although it had one before"))
        case Absent():
            counts.absent += 1
        case Refused(reason=reason):
            counts.refused += 1
            counts.problems.append(_problem(one, partition, reason))


def _problem(one: Asked, partition: Partition, reason: str) -> Problem:
    return Problem(source=one.label, partition=partition.key, url=partition.url, reason=reason)


def _of(one: Asked) -> str:
    return f"of {one.label}" if one.label else ""


def _tell_quarantined(
    asked: Asked, known: Mapping[str, Known], emit: Callable[[Event], None]
) -> None:
    """Warn about files that an earlier run put into quarantine and the source still has."""
    counts = asked.counts
    new = {problem.partition for problem in counts.problems}
    for key, one in sorted(known.items()):
        if one.refused is None or key in new:
            continue
        problem = Problem(source=asked.label, partition=key, url=one.url, reason=one.refused)
        counts.quarantined.append(problem)
        instead = "the previous file is in use" if one.raw else "there is no other file"
        emit(
            Log(
                level="warning",
                message=f"{problem.place} is still in quarantine ({instead}): {problem}",
            )
        )


def _tell_denied(asked: Asked, emit: Callable[[Event], None]) -> None:
    """Warn about partitions in use that the source no longer has.

    They become errors when the source confirms no partition at all: it is broken, or the address is
    wrong.
    """
    counts = asked.counts
    if counts.denied and not (counts.fetched or counts.unchanged or counts.refused):
        counts.problems += counts.denials
        return
    for problem in counts.denials:
        message = f"{problem.place} stays in use, and the next run checks it again: {problem}"
        emit(Log(level="warning", message=message))
