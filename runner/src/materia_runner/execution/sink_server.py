"""Sink server: carry out the requests of a worker on the sink at home, in this thread.

The worker is trusted only with its stage: `sink_messages` decodes a request, and `sink_rules`
checks whether it is allowed. The hash of every file is checked before the sink gets it. `obey`
raises the errors of the sink, which ends the command of the worker.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from materia.data import Fetched, Known, Refused, Table
from materia.errors import SinkError
from materia.kit.files import replacing, sha256_of
from materia.protocols import Sink

from materia_runner.codec import MalformedError
from materia_runner.execution.sink_rules import refuse_foreign, refuse_other_owner
from materia_runner.messages import sink_messages as relay_messages
from materia_runner.messages.sink_messages import (
    AskFingerprint,
    AskKnown,
    AskPublished,
    AskRaw,
    CheckOut,
    Message,
    Publish,
    Record,
    Refuse,
)
from materia_runner.messages.stage_request import WorkerRequest
from materia_runner.ssh.session import Session

MOST_RECORDS = 100_000  # per stage; a source has some hundred partitions
# Share of the free disk space here that one stage may use, so that no worker fills the disk.
ROOM = 0.9


class SinkServer:
    """Server of the sink at home for one stage on one worker.

    Attributes:
        tables: The published tables, as home counted them; None before the publish.
        database: Path of the published database at home; None before the publish.
    """

    def __init__(
        self,
        session: Session,
        sink: Sink,
        *,
        request: WorkerRequest,
        partitions: Mapping[str, Collection[str] | None],
        folder: Path,
        stage: Path,
        kept: Path,
    ) -> None:
        """Serve the command that runs in *session*.

        Args:
            session: SSH session to the worker.
            sink: The opened sink.
            request: The request that the worker runs.
            partitions: Keys of the partitions by the name of their source in the sink; None when
                only the worker can list them.
            folder: An existing folder here, for files in transit.
            stage: Folder of the stage on the worker.
            kept: Folder of raw files on the worker.
        """
        self._session = session
        self._sink = sink
        self._request = request
        self._partitions = partitions
        self.tables: tuple[Table, ...] | None = None
        self.database: Path | None = None
        self._folder = folder
        self._stage = stage
        self._kept = kept
        self._numbers = itertools.count()
        self._room = int(shutil.disk_usage(folder).free * ROOM)
        self._copy: Path | None = None
        at_home = request.at_home
        self._known: dict[str, Mapping[str, Known]] = dict(at_home.known) if at_home else {}

    def obey(self, number: int, message: Message) -> None:
        """Carry out a message and send the answer.

        Raises:
            MalformedError: the message is not allowed in this stage; nothing was done.
            MateriaError: the sink failed, or a file arrived damaged.
        """
        refuse_foreign(message, self._request, self._partitions)
        self._session.tell(relay_messages.encode(number, self._answer(message)))

    def _knows(self, source: str, partition: str) -> bool:
        """Whether the sink has that partition; materia makes no path or object name for others.

        The answer is cached, because a sink may have to list a bucket.
        """
        if source not in self._known:
            self._known[source] = self._sink.known(source)
        return partition in self._known[source]

    def _answer(self, message: Message) -> object:  # noqa: C901, PLR0911 -- a case for each message
        match message:
            case Record():
                self._record(message)
            case Refuse(source=source, raw=raw, reason=reason):
                if self._knows(source, raw.partition):
                    self._sink.refuse(source, raw, reason)
            case AskKnown(source=source):
                self._known[source] = self._sink.known(source)
                return dict(self._known[source])
            case AskRaw(source=source, partition=partition, file=file, sha256=sha256):
                if not self._knows(source, partition):
                    return None
                return self._send(self._sink.find_raw(source, partition, file, sha256), self._kept)
            case AskFingerprint():
                return self._sink.fingerprint()
            case AskPublished():
                return self._send_published()
            case CheckOut():
                self._copy = self._sink.checkout()
                return self._copy.name, self._send_published()
            case Publish():
                return self._publish(message)
        return None

    def _record(self, message: Record) -> None:
        result = message.result
        if (number := next(self._numbers)) >= MOST_RECORDS:
            raise MalformedError(f"the stage records more than {MOST_RECORDS:,} results")
        if message.sha256 is None:
            self._sink.record(message.source, message.partition, result)
            return
        if not isinstance(result, Fetched | Refused) or result.path is None:
            raise AssertionError("only these come with a file")
        path = self._folder / f"file-{number}"
        # A refused file may have any size; a fetched file has the size in its record.
        most = result.raw.size if isinstance(result, Fetched) else self._room
        self._download(result.path, path, sha256=message.sha256, most=most)
        try:
            self._sink.record(message.source, message.partition, replace(result, path=path))
        finally:
            path.unlink(missing_ok=True)  # a sink moves it or copies it

    def _download(self, there: Path, path: Path, *, sha256: str, most: int) -> None:
        self._session.download(str(there), path, sha256=sha256, most=min(most, self._room))
        self._room -= path.stat().st_size

    def _send_published(self) -> Path | None:
        published = self._sink.published()
        if published is None:
            return None
        return self._send(published, self._stage / "published", name=published.name)

    def _send(self, path: Path | None, folder: Path, *, name: str | None = None) -> Path | None:
        """Upload a file to a folder on the worker, under its hash or *name*; returns its path."""
        if path is None:
            return None
        try:
            # The hash of the actual bytes: the source refuses a damaged file by itself.
            sha256 = sha256_of(path)
            there = folder / (name or sha256)
            self._session.upload(path, str(there), sha256=sha256)
        except OSError as error:
            raise SinkError(f"{path}: cannot be read: {error.strerror or error}") from error
        return there

    def _publish(self, message: Publish) -> object:
        copy = self._copy
        if copy is None:
            raise MalformedError("the publish came before the checkout")
        refuse_other_owner(message.request.fingerprint, self._sink.fingerprint(), self._request)
        with replacing(copy) as finished:  # the sink removes the part of a killed run
            there = message.request.database
            self._download(there, finished, sha256=message.sha256, most=self._room)
            # The write-ahead log of the old copy must not be applied to the new one.
            copy.with_name(f"{copy.name}.wal").unlink(missing_ok=True)
        self.tables = tuple(self._sink.publish(replace(message.request, database=copy)))
        self.database = self._sink.published()
        # The worker counts the rows in its own database, so it gets no row counts from here.
        return tuple(replace(table, rows=0) for table in self.tables), self.database
