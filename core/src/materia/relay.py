"""The sink at home, at the service of a worker: what the worker asks is done here, by this thread.

Files that come are checked by their hash before the sink sees them. An error of the sink is raised
from `obey`; the script of the worker is then ended.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from dataclasses import replace
from pathlib import Path

from materia import relay_messages
from materia.errors import SinkError
from materia.model import Fetched, Refused
from materia.protocols import Sink
from materia.relay_messages import (
    AskKnown,
    AskPublished,
    AskRaw,
    AskStamp,
    CheckOut,
    Message,
    Publish,
    Record,
    Refuse,
)
from materia.ssh import Session


class Relay:
    """The sink at home for one stage on one worker."""

    def __init__(
        self, session: Session, sink: Sink, *, folder: Path, stage: Path, kept: Path
    ) -> None:
        """Serve the script that runs in *session*.

        Args:
            session: To the worker.
            sink: The opened sink.
            folder: An existing folder here, for files on their way.
            stage: The stage's own folder on the worker.
            kept: The folder of raw files there.
        """
        self._session = session
        self._sink = sink
        self._folder = folder
        self._stage = stage
        self._kept = kept
        self._numbers = itertools.count()
        self._copy: Path | None = None

    def obey(self, number: int, message: Message) -> None:
        """Do what a message says, and answer it.

        Raises:
            MateriaError: of the sink; or a file did not arrive whole.
        """
        self._session.tell(relay_messages.encode(number, self._answer(message)))

    def _answer(self, message: Message) -> object:  # noqa: PLR0911 -- one return for each message
        match message:
            case Record():
                self._record(message)
            case Refuse(source=source, raw=raw, reason=reason):
                self._sink.refuse(source, raw, reason)
            case AskKnown(source=source):
                return dict(self._sink.known(source))
            case AskRaw(source=source, partition=partition, file=file, sha256=sha256):
                return self._send(self._sink.find_raw(source, partition, file, sha256), self._kept)
            case AskStamp():
                return self._sink.stamp()
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
        if message.sha256 is None:
            self._sink.record(message.source, message.partition, result)
            return
        if not isinstance(result, Fetched | Refused) or result.path is None:
            raise AssertionError("only these come with a file")
        path = self._folder / f"file-{next(self._numbers)}"
        self._session.download(str(result.path), path, sha256=message.sha256)
        try:
            self._sink.record(message.source, message.partition, replace(result, path=path))
        finally:
            path.unlink(missing_ok=True)  # a sink moves it or copies it

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
            with path.open("rb") as file:
                # Of what it is, not of what it should be: a damaged file is the source's to refuse.
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            there = folder / (name or sha256)
            self._session.upload(path, str(there), sha256=sha256)
        except OSError as error:
            raise SinkError(f"{path}: cannot be read: {error.strerror or error}") from error
        return there

    def _publish(self, message: Publish) -> object:
        copy = self._copy
        if copy is None:
            raise AssertionError("there is no working copy to publish")
        finished = copy.with_name(f"{copy.name}.{os.getpid()}.part")  # a killed run's part is swept
        try:
            self._session.download(str(message.request.database), finished, sha256=message.sha256)
            # The log of what the copy held before must not be applied to what it holds now.
            copy.with_name(f"{copy.name}.wal").unlink(missing_ok=True)
            finished.replace(copy)
        finally:
            finished.unlink(missing_ok=True)
        tables = tuple(self._sink.publish(replace(message.request, database=copy)))
        return tables, self._sink.published()
