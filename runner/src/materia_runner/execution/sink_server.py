"""The sink at home, at the service of a worker: what the worker asks is done here, by this thread.

The worker is trusted with its stage and no more: `relay_messages` has decoded what it says, and
`relay_rules` says whether it may. Files that come are checked by their hash before the sink sees
them. An error of the sink is raised from `obey`; the command of the worker is then ended.
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
from materia_runner.execution.sink_rules import refuse_foreign
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

MOST_RECORDS = 100_000  # of one stage; a source has some hundred partitions
# What one stage may send, of the room that is free here when it begins: no worker fills a disk.
ROOM = 0.9


class SinkServer:
    """The sink at home for one stage on one worker.

    Attributes:
        tables: What was published, as home counted it; None before.
        database: Where it is at home; None before.
    """

    def __init__(
        self,
        session: Session,
        sink: Sink,
        *,
        request: WorkerRequest,
        partitions: Collection[str] | None,
        folder: Path,
        stage: Path,
        kept: Path,
    ) -> None:
        """Serve the command that runs in *session*.

        Args:
            session: To the worker.
            sink: The opened sink.
            request: What the worker was asked to do.
            partitions: Keys of those that the source has; None: only the worker can see that.
            folder: An existing folder here, for files on their way.
            stage: The stage's own folder on the worker.
            kept: The folder of raw files there.
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
        """Do what a message says, and answer it.

        Raises:
            MalformedError: it is no message of this stage; nothing of it was done.
            MateriaError: of the sink; or a file did not arrive whole.
        """
        refuse_foreign(message, self._request, self._partitions)
        self._session.tell(relay_messages.encode(number, self._answer(message)))

    def _knows(self, source: str, partition: str) -> bool:
        """Whether the sink has that partition: of no other is a path made, or an object asked for.

        A partition that was known stays so, and a bucket is listed to find out.
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
            raise MalformedError(f"it records more than {MOST_RECORDS:,} results")
        if message.sha256 is None:
            self._sink.record(message.source, message.partition, result)
            return
        if not isinstance(result, Fetched | Refused) or result.path is None:
            raise AssertionError("only these come with a file")
        path = self._folder / f"file-{number}"
        # A refused file may be of any size; another has the size that it is recorded with.
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
        """Bring a file to a folder there, under its hash or a name; where it is then."""
        if path is None:
            return None
        try:
            # Of what it is, not of what it should be: a damaged file is the source's to refuse.
            sha256 = sha256_of(path)
            there = folder / (name or sha256)
            self._session.upload(path, str(there), sha256=sha256)
        except OSError as error:
            raise SinkError(f"{path}: cannot be read: {error.strerror or error}") from error
        return there

    def _publish(self, message: Publish) -> object:
        copy = self._copy
        if copy is None:
            raise MalformedError("it publishes before it took the working copy")
        with replacing(copy) as finished:  # a killed run's part is swept
            there = message.request.database
            self._download(there, finished, sha256=message.sha256, most=self._room)
            # The log of what the copy held before must not be applied to what it holds now.
            copy.with_name(f"{copy.name}.wal").unlink(missing_ok=True)
        self.tables = tuple(self._sink.publish(replace(message.request, database=copy)))
        self.database = self._sink.published()
        # The worker has the database and counts for itself: no figure made here goes back to it.
        return tuple(replace(table, rows=0) for table in self.tables), self.database
