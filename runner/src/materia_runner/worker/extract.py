"""Extract stage: incremental fetch of new and changed partitions from the source into the sink.

It fetches a few partitions at a time and records each as it arrives, so an interrupted run has kept
all of them up to then. A failed partition does not affect the others.
"""

from __future__ import annotations

import itertools
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from materia.data import (
    Absent,
    Fetched,
    FetchRequest,
    FetchResult,
    Known,
    Partition,
    PartitionsRequest,
    Refused,
    Unchanged,
)
from materia.errors import SourceError
from materia.kit.files import sha256_of
from materia.kit.validators import to_ask_with, to_keep
from materia.protocols import Sink, Source

from materia_runner.messages.events import Event, Log, Progress
from materia_runner.messages.partition_problems import Problem, listing, warn
from materia_runner.messages.stage_request import WorkerRequest
from materia_runner.secrets.redaction import redact

THREADS = 4
# When the first answers are all failures the source is down, and 200 more requests, each with its
# retries, would only make the user wait.
GIVE_UP_AFTER = 16
BEAT_SECONDS = 0.1  # between two progress events about bytes


@dataclass(slots=True, kw_only=True)
class _Counts:
    """Counts of the requested partitions by result."""

    asked: int
    fetched: int = 0
    unchanged: int = 0
    absent: int = 0
    denied: int = 0
    refused: int = 0
    failed: int = 0
    not_asked: int = 0
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)
    quarantined: list[Problem] = field(default_factory=list)
    denials: list[Problem] = field(default_factory=list)
    remarks: list[Problem] = field(default_factory=list)

    @property
    def answered(self) -> int:
        there = self.fetched + self.unchanged + self.refused
        return there + self.absent + self.denied + self.failed


def extract(
    source: Source, sink: Sink, request: WorkerRequest, emit: Callable[[Event], None]
) -> Mapping[str, object]:
    """Fetch the partitions that the source lists now, and record them in the sink.

    Raises:
        SourceError: partitions failed, and the sink has no usable file at all.
        SinkError: the sink cannot keep a file.
    """
    known = sink.known(request.kept_as)
    asked = source.partitions(
        PartitionsRequest(known=known, now=datetime.now(UTC), everything=request.everything)
    )
    counts = _Counts(asked=len(asked))
    received = _Received(emit)
    for partition, result in _fetch_all(
        source, asked, known=known, request=request, received=received, counts=counts
    ):
        before = known.get(partition.key)
        if isinstance(result, SourceError):
            counts.failed += 1
            counts.problems.append(_problem(partition, str(result)))
        else:
            kept = _without(request.hidden, result)
            sink.record(request.kept_as, partition, kept)
            _count(counts, partition, kept, before)
        emit(Progress(phase="fetch", done=counts.answered, total=counts.asked, unit="partitions"))
    warn(counts.remarks, emit)
    counts.bytes = received.total
    after = sink.known(request.kept_as)
    in_use = sum(one.raw is not None for one in after.values())
    _tell_quarantined(counts, after, emit)
    _tell_denied(counts, emit)
    if counts.not_asked and in_use:
        message = f"skipped {counts.not_asked} partitions, because all before them failed"
        emit(Log(level="warning", message=message))
    if asked and counts.absent == len(asked) and not in_use:
        raise SourceError(
            f"{request.source}: none of the {len(asked)} requested partitions exists, the first at "
            f"{asked[0].url}: check the address under [sources.{request.source}] in materia.toml"
        )
    if counts.problems and not in_use:
        not_asked = (
            f"\n  skipped {counts.not_asked} more, because all before them failed"
            if counts.not_asked
            else ""
        )
        raise SourceError(
            f"{request.source}: no file could be fetched; check the network and the settings "
            f"under [sources.{request.source}], and run again\n"
            f"{listing(counts.problems)}{not_asked}"
        )
    return {**asdict(counts), "in_use": in_use}


def _fetch_all(
    source: Source,
    partitions: Sequence[Partition],
    *,
    known: Mapping[str, Known],
    request: WorkerRequest,
    received: _Received,
    counts: _Counts,
) -> Iterator[tuple[Partition, FetchResult | SourceError]]:
    waiting = iter(enumerate(partitions))
    running: dict[Future[FetchResult | SourceError], tuple[Partition, Path]] = {}
    # Not a `with` block, which would wait for servers when the stage must end at once.
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="fetch")
    try:
        while True:
            # A small lead keeps the threads busy; a larger one would pile up unrecorded files.
            for number, partition in itertools.islice(waiting, 2 * THREADS - len(running)):
                folder = request.workspace / f"fetch-{number}"
                folder.mkdir(exist_ok=True)
                one = partial(
                    _fetch,
                    source,
                    partition,
                    known.get(partition.key),
                    folder,
                    everything=request.everything,
                    received=received.add,
                )
                running[pool.submit(one)] = partition, folder
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                partition, folder = running.pop(future)
                yield partition, future.result()
                shutil.rmtree(folder, ignore_errors=True)
            if counts.failed == counts.answered >= GIVE_UP_AFTER:
                counts.not_asked += sum(1 for _ in waiting)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _fetch(
    source: Source,
    partition: Partition,
    known: Known | None,
    folder: Path,
    *,
    everything: bool,
    received: Callable[[int], None],
) -> FetchResult | SourceError:
    """Fetch one partition: the result to record, or the error of this partition alone."""
    asked = FetchRequest(
        partition=partition,
        known=to_ask_with(known, partition, everything=everything),
        directory=folder,
        received=received,
    )
    try:
        result = source.fetch(asked)
        if not isinstance(result, Fetched | Unchanged | Absent | Refused):
            raise TypeError(f"fetch gave {type(result).__name__}")  # noqa: TRY301 -- handled below
        if isinstance(result, Refused) and result.path is not None and result.sha256 is None:
            result = replace(result, sha256=sha256_of(result.path))
        return to_keep(known, partition, result, everything=everything)
    except SourceError as error:
        return error
    except Exception as error:  # noqa: BLE001 -- a bug in a plugin, reported with its line
        kind = type(error).__name__
        return SourceError(
            f"{partition.url}: the source failed with {kind}: {error} ({_place(error)})"
        )


def _place(error: Exception) -> str:
    """File and line of the innermost traceback frame in the plugin's own folder."""
    frames = traceback.extract_tb(error.__traceback__)
    folder = Path(frames[min(1, len(frames) - 1)].filename).parent
    last = [frame for frame in frames if Path(frame.filename).parent == folder][-1]
    return f"{Path(last.filename).name}, line {last.lineno}"


class _Received:
    """Count of the bytes received so far by all threads."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self.total = 0
        self._emit = emit
        self._lock = threading.Lock()
        self._said = 0.0

    def add(self, count: int) -> None:
        with self._lock:
            self.total += count
            now = time.monotonic()
            if now - self._said < BEAT_SECONDS:
                return
            self._said = now
        self._emit(Progress(phase="fetch", done=self.total, total=None, unit="bytes"))


def _without(secrets: Sequence[str], result: FetchResult) -> FetchResult:
    """The result with *secrets* redacted, ready to be recorded."""
    if isinstance(result, Refused):
        return replace(result, reason=redact(result.reason, secrets))
    if isinstance(result, Fetched) and result.remarks:
        said = tuple(redact(remark, secrets) for remark in result.remarks)
        return replace(result, remarks=said)
    return result


def _count(
    counts: _Counts, partition: Partition, result: FetchResult, before: Known | None
) -> None:
    match result:
        case Fetched(remarks=remarks):
            counts.fetched += 1
            counts.remarks += [_problem(partition, remark) for remark in remarks]
        case Unchanged():
            counts.unchanged += 1
        case Absent(removed=False, reason=reason) if before is not None and before.raw is not None:
            counts.denied += 1
            said = reason or "the source says that there is no such file"
            counts.denials.append(_problem(partition, f"{said}, although it had one before"))
        case Absent():
            counts.absent += 1
        case Refused(reason=reason):
            counts.refused += 1
            counts.problems.append(_problem(partition, reason))


def _problem(partition: Partition, reason: str) -> Problem:
    return Problem(partition=partition.key, url=partition.url, reason=reason)


def _tell_quarantined(
    counts: _Counts, known: Mapping[str, Known], emit: Callable[[Event], None]
) -> None:
    """Warn about files that an earlier run put into quarantine and the source still has."""
    new = {problem.partition for problem in counts.problems}
    for key, one in sorted(known.items()):
        if one.refused is None or key in new:
            continue
        problem = Problem(partition=key, url=one.url, reason=one.refused)
        counts.quarantined.append(problem)
        instead = "the previous file is in use" if one.raw else "there is no other file"
        emit(
            Log(
                level="warning",
                message=f"{key} is still in quarantine ({instead}): {problem}",
            )
        )


def _tell_denied(counts: _Counts, emit: Callable[[Event], None]) -> None:
    """Warn about partitions in use that the source no longer has.

    They become errors when the source confirms no partition at all: it is broken, or the address is
    wrong.
    """
    if counts.denied and not (counts.fetched or counts.unchanged or counts.refused):
        counts.problems += counts.denials
        return
    for problem in counts.denials:
        message = f"{problem.partition} stays in use, and the next run checks it again: {problem}"
        emit(Log(level="warning", message=message))
