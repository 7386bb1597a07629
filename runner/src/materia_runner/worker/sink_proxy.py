"""Sink proxy: a worker's stand-in for a sink that stays at home, with the same promises.

The worker does not wait for a record. Home handles one message after another, and an error there
ends the worker, so the worker never sends its result before home has kept everything.
"""

from __future__ import annotations

import itertools
import shutil
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from materia.data import (
    Fetched,
    FetchResult,
    Known,
    Partition,
    PublishRequest,
    RawFile,
    Refused,
    Table,
)
from materia.kit.files import sha256_of

from materia_runner.messages import sink_messages as relay_messages
from materia_runner.messages.sink_messages import (
    AskFingerprint,
    AskKnown,
    AskPublished,
    AskRaw,
    AtHome,
    CheckOut,
    Message,
    Publish,
    Record,
    Refuse,
)

# Files that home does not have yet; more would fill the disk when the source is faster than home.
UNKEPT = 8
# Share of free disk space below which files are not kept for the next stage on this machine.
SPARE = 0.25


class Home:
    """Connection to home: sends messages, and receives answers in another thread."""

    def __init__(self, write: Callable[[str], None]) -> None:
        """Send messages with *write*, which takes a line."""
        self._write = write
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._asked: dict[int, Message] = {}
        self._answers: dict[int, Future[Any]] = {}

    def ask(self, message: Message) -> Future[Any]:
        """Send a message and return the future of its answer."""
        answer: Future[Any] = Future()
        with self._lock:  # so that messages are sent in the order of their numbers
            number = next(self._numbers)
            self._asked[number], self._answers[number] = message, answer
            self._write(relay_messages.encode(number, message))
        return answer

    def answered(self, line: str) -> None:
        """Handle a line from home."""
        if found := relay_messages.decode_answer(line, self._asked):
            number, value = found
            del self._asked[number]
            self._answers.pop(number).set_result(value)


class RelayedSink:
    """A sink that relays every call to the sink at home."""

    def __init__(
        self, home: Home, at_home: AtHome, *, workspace: Path, spare: float = SPARE
    ) -> None:
        """Relay to *home*.

        Args:
            home: Connection to the sink.
            at_home: State of the sink.
            workspace: An existing folder for the working copy of the database.
            spare: Share of the disk: while it is free, files that home has stay here too.
        """
        self._home = home
        self._spare = spare
        self._kept = at_home.kept
        self._known = dict(at_home.known)
        self._workspace = workspace
        self._published: Path | None = None
        self._asked_published = False
        self._waiting: deque[tuple[Future[Any], Path | None]] = deque()

    def known(self, source: str, /) -> Mapping[str, Known]:
        """The known partitions, from the cache or, after a record, from home."""
        if source not in self._known:
            self._known[source] = self._home.ask(AskKnown(source=source)).result()
        return self._known[source]

    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        """Send the result to home, which copies the file meanwhile."""
        sha256 = None
        path = None
        match result:
            case Fetched():
                sha256 = result.raw.sha256
                path = self._keep(result.path, sha256)
                result = replace(result, path=path)
            case Refused(path=Path() as refused):
                sha256 = sha256_of(refused)
                path = self._keep(refused, sha256)
                result = replace(result, path=path)
        message = Record(source=source, partition=partition, result=result, sha256=sha256)
        self._waiting.append((self._home.ask(message), path))
        self._known.pop(source, None)
        while self._waiting and (len(self._waiting) > UNKEPT or self._waiting[0][0].done()):
            answer, path = self._waiting.popleft()
            answer.result()
            self._make_room(path)

    def refuse(self, source: str, raw: RawFile, reason: str, /) -> None:
        """Have home put a file into quarantine."""
        self._known.pop(source, None)
        self._home.ask(Refuse(source=source, raw=raw, reason=reason))

    def find_raw(self, source: str, partition: str, file: str, sha256: str, /) -> Path | None:
        """The file that an extract left on this machine, or a copy from home."""
        path = self._kept / sha256
        if path.is_file():
            return path
        asked = AskRaw(source=source, partition=partition, file=file, sha256=sha256)
        found: Path | None = self._home.ask(asked).result()
        return found

    def fingerprint(self) -> str | None:
        """The published fingerprint, from home."""
        fingerprint: str | None = self._home.ask(AskFingerprint()).result()
        return fingerprint

    def published(self) -> Path | None:
        """A copy of the published database; after `publish`, its path at home."""
        if not self._asked_published:
            self._published = self._home.ask(AskPublished()).result()
            self._asked_published = True
        return self._published

    def checkout(self) -> Path:
        """A working copy on this machine, while home locks its own."""
        name, self._published = self._home.ask(CheckOut()).result()
        self._asked_published = True
        copy = self._workspace / "checkout" / str(name)
        copy.parent.mkdir(exist_ok=True)
        if self._published is not None:
            shutil.copyfile(self._published, copy)
        return copy

    def publish(self, request: PublishRequest, /) -> Sequence[Table]:
        """Have home copy the finished database and publish it."""
        _close(request.database)
        message = Publish(request=request, sha256=sha256_of(request.database))
        tables, self._published = self._home.ask(message).result()
        return _counted(tables, request.database)

    def _keep(self, path: Path, sha256: str) -> Path:
        self._kept.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(path, self._kept / sha256))

    def _make_room(self, path: Path | None) -> None:
        disk = shutil.disk_usage(self._kept.parent)
        needed = any(path == other for _, other in self._waiting)
        if path is not None and not needed and disk.free < self._spare * disk.total:
            path.unlink(missing_ok=True)


def _close(database: Path) -> None:
    """Checkpoint DuckDB's write-ahead log into the file, which is copied without the log."""
    if database.with_name(f"{database.name}.wal").exists():
        import duckdb

        with duckdb.connect(database) as connection:
            connection.execute("CHECKPOINT")


def _counted(tables: Sequence[Table], database: Path) -> tuple[Table, ...]:
    """The tables with row counts of the worker's own database; home does not send its counts."""
    import duckdb

    with duckdb.connect(database, read_only=True) as connection:
        rows = {}
        for table in tables:
            name = ".".join(f'"{part}"' for part in table.name.split("."))
            found = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
            rows[table.name] = int(found[0]) if found else 0
    return tuple(replace(table, rows=rows[table.name]) for table in tables)
