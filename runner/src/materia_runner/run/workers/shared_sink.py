"""Share the sink at home among workers side by side: one call at a time, whatever the thread."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from materia.data import FetchResult, Known, Partition, PublishRequest, RawFile, Table
from materia.protocols import Sink


class SharedSink:
    """A sink that several threads call in turn, as a plugin's sink expects a single writer.

    A file is on this machine before `record` is called, so that no worker waits for the transfer of
    another one.
    """

    def __init__(self, sink: Sink) -> None:
        """Share *sink*, which no one else calls meanwhile."""
        self._sink = sink
        self._turn = threading.Lock()

    def known(self, source: str, /) -> Mapping[str, Known]:
        """The records of a source by partition key."""
        with self._turn:
            return self._sink.known(source)

    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        """Keep the file of a fetch and record its result."""
        with self._turn:
            self._sink.record(source, partition, result)

    def refuse(self, source: str, raw: RawFile, reason: str, /) -> None:
        """Move a file that could not be loaded to quarantine."""
        with self._turn:
            self._sink.refuse(source, raw, reason)

    def find_raw(self, source: str, partition: str, file: str, sha256: str, /) -> Path | None:
        """The path of a raw file, or None."""
        with self._turn:
            return self._sink.find_raw(source, partition, file, sha256)

    def fingerprint(self) -> str | None:
        """The fingerprint of the published tables, or None."""
        with self._turn:
            return self._sink.fingerprint()

    def published(self) -> Path | None:
        """The path of the published database, or None."""
        with self._turn:
            return self._sink.published()

    def checkout(self) -> Path:
        """Lock the sink and make the private working copy."""
        with self._turn:
            return self._sink.checkout()

    def publish(self, request: PublishRequest, /) -> Sequence[Table]:
        """Publish the working copy."""
        with self._turn:
            return self._sink.publish(request)
