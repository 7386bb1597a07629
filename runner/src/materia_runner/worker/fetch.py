"""Fetch partitions of several sources side by side, a few of each at a time.

Each source has threads of its own, so that a slow server delays no other source, and no server gets
more requests at once than if its source were alone.
"""

from __future__ import annotations

import itertools
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from materia.data import (
    Absent,
    Fetched,
    FetchRequest,
    FetchResult,
    Known,
    Partition,
    Refused,
    Unchanged,
)
from materia.errors import SourceError
from materia.kit.files import sha256_of
from materia.kit.validators import usable_date, usable_etag
from materia.protocols import Source

from materia_runner.messages.events import Event, Progress
from materia_runner.messages.partition_problems import Problem

THREADS = 4  # of one source
# When the first answers are all failures the source is down, and 200 more requests, each with its
# retries, would only make the user wait.
GIVE_UP_AFTER = 16
BEAT_SECONDS = 0.1  # between two progress events about bytes


@dataclass(slots=True, kw_only=True)
class Counts:
    """Counts of the requested partitions of one source by result."""

    asked: int = 0
    fetched: int = 0
    unchanged: int = 0
    absent: int = 0
    denied: int = 0
    refused: int = 0
    failed: int = 0
    not_asked: int = 0
    problems: list[Problem] = field(default_factory=list)
    quarantined: list[Problem] = field(default_factory=list)
    denials: list[Problem] = field(default_factory=list)
    remarks: list[Problem] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """Number of partitions with a result."""
        there = self.fetched + self.unchanged + self.refused
        return there + self.absent + self.denied + self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one source is asked for.

    Attributes:
        name: Name of the source.
        label: The same for messages, or empty when it is the only source.
        kept_as: Its name in the sink.
        source: The source.
        known: What the sink remembers of its partitions.
        partitions: The partitions to fetch or check.
        counts: Results so far.
    """

    name: str
    label: str
    kept_as: str
    source: Source
    known: Mapping[str, Known]
    partitions: Sequence[Partition]
    counts: Counts


def fetch_all(
    asked: Sequence[Asked], *, workspace: Path, everything: bool, received: Callable[[int], None]
) -> Iterator[tuple[Asked, Partition, FetchResult | SourceError]]:
    """Fetch the partitions of all sources: each result as it comes, with its source.

    Args:
        asked: The sources with their partitions.
        workspace: An existing folder; each partition has a folder in it until its result is used.
        everything: Whether to ask without validators.
        received: Callback with the bytes that arrived since its last call.
    """
    queues = [_Queue(one, workspace / f"fetch-{number}") for number, one in enumerate(asked)]
    running: dict[Future[FetchResult | SourceError], tuple[_Queue, Partition, Path]] = {}
    try:
        while True:
            for queue in queues:
                for partition, folder in queue.next_ones():
                    one = partial(
                        _fetch,
                        queue.asked.source,
                        partition,
                        queue.asked.known.get(partition.key),
                        folder,
                        everything=everything,
                        received=received,
                    )
                    running[queue.pool.submit(one)] = queue, partition, folder
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                queue, partition, folder = running.pop(future)
                queue.running -= 1
                yield queue.asked, partition, future.result()
                shutil.rmtree(folder, ignore_errors=True)
                queue.give_up_when_down()
    finally:
        for queue in queues:
            queue.pool.shutdown(wait=False, cancel_futures=True)


class _Queue:
    """The partitions of one source that wait, and the threads that fetch them."""

    def __init__(self, asked: Asked, folder: Path) -> None:
        self.asked = asked
        self.running = 0
        # Not a `with` block, which would wait for servers when the stage must end at once.
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix=f"fetch {asked.name}")
        self._waiting = iter(enumerate(asked.partitions))
        self._folder = folder

    def next_ones(self) -> Iterator[tuple[Partition, Path]]:
        """The next partitions to start, each with an existing folder."""
        # A small lead keeps the threads busy; a larger one would pile up unrecorded files.
        for number, partition in itertools.islice(self._waiting, 2 * THREADS - self.running):
            folder = self._folder.with_name(f"{self._folder.name}-{number}")
            folder.mkdir(exist_ok=True)
            self.running += 1
            yield partition, folder

    def give_up_when_down(self) -> None:
        """Skip what waits, when all answers of the source so far are failures."""
        counts = self.asked.counts
        if counts.failed == counts.answered >= GIVE_UP_AFTER:
            counts.not_asked += sum(1 for _ in self._waiting)


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


def to_ask_with(known: Known | None, partition: Partition, *, everything: bool) -> Known | None:
    """*known* as the source gets it; without validators the source sends no conditional request.

    The validators are left out when *everything* is wanted, when they belong to another address,
    and for a refused file that no second download has confirmed.
    """
    if known is None:
        return None
    unconfirmed = known.refused is not None and known.refused_sha256 is None
    if everything or unconfirmed or known.url != partition.url:
        return replace(known, etag=None, last_modified=None)
    etag, date = usable_etag(known.etag), usable_date(known.last_modified)
    return replace(known, etag=etag, last_modified=date)


def to_keep(
    known: Known | None, partition: Partition, result: FetchResult, *, everything: bool
) -> FetchResult:
    """The *result* to record, when *known* was known before.

    Raises:
        SourceError: the result contradicts the request.
    """
    here = known if known is not None and known.url == partition.url else None
    match result:
        case Fetched(raw=raw):
            etag, date = usable_etag(raw.etag), usable_date(raw.last_modified)
            # Without validators the sink has lost the file and needs it again.
            if everything and here is not None and (here.etag or here.last_modified):
                in_use = here.raw is not None and here.raw.sha256 == raw.sha256
                if in_use and here.refused is None:
                    return Unchanged(etag=etag, last_modified=date, sha256=raw.sha256)
            return replace(result, raw=replace(raw, etag=etag, last_modified=date))
        case Unchanged():
            asked = to_ask_with(known, partition, everything=everything)
            return _unchanged(known, asked, partition, result)
        case Refused():
            return _refused(here, result)
        case Absent():
            return result


def _unchanged(
    known: Known | None, asked: Known | None, partition: Partition, result: Unchanged
) -> Unchanged:
    """*result* with the validators that belong to the file in the sink."""
    if known is not None and result.sha256 is not None:
        newest = known.refused_sha256 if known.refused is not None else _sha256_in_use(known)
        if result.sha256 == newest:
            return replace(
                result,
                etag=usable_etag(result.etag),
                last_modified=usable_date(result.last_modified),
            )
    elif asked is not None and (asked.etag or asked.last_modified):
        return replace(result, etag=asked.etag, last_modified=asked.last_modified)
    raise SourceError(
        f"{partition.url}: the source reports it unchanged, but the request was unconditional; "
        "run again"
    )


def _refused(known: Known | None, result: Refused) -> Refused | Unchanged:
    """Refused without validators at first; unchanged when the same bytes came a second time."""
    if known is not None and known.refused is not None:
        if result.sha256 is not None and result.sha256 == known.refused_sha256:
            return Unchanged(
                etag=usable_etag(result.etag),
                last_modified=usable_date(result.last_modified),
                sha256=result.sha256,
            )
        if result.sha256 is None and result.reason == known.refused:
            return Unchanged(etag=None, last_modified=None)
    return replace(result, etag=None, last_modified=None)


def _sha256_in_use(known: Known) -> str | None:
    return known.raw.sha256 if known.raw is not None else None


def _place(error: Exception) -> str:
    """File and line of the innermost traceback frame in the plugin's own folder."""
    frames = traceback.extract_tb(error.__traceback__)
    folder = Path(frames[min(1, len(frames) - 1)].filename).parent
    last = [frame for frame in frames if Path(frame.filename).parent == folder][-1]
    return f"{Path(last.filename).name}, line {last.lineno}"


class Received:
    """Count of the bytes received so far by all threads."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self.total = 0
        self._emit = emit
        self._lock = threading.Lock()
        self._said = 0.0

    def add(self, count: int) -> None:
        """Count bytes that arrived."""
        with self._lock:
            self.total += count
            now = time.monotonic()
            if now - self._said < BEAT_SECONDS:
                return
            self._said = now
        self._emit(Progress(phase="fetch", done=self.total, total=None, unit="bytes"))
