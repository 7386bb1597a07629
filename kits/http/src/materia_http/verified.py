"""Fetch a file and check it: the four answers of a source's `fetch`, with refusals and retries."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from materia.errors import SourceError

from materia_http.environment import needs_proxy
from materia_http.partial_file import Arrived, TooLargeError

if TYPE_CHECKING:
    from materia.data import (
        Absent,
        Fetched,
        FetchRequest,
        FetchResult,
        Partition,
        Refused,
        Unchanged,
    )

    from materia_http import download  # the site links `Patience` by it: there is another one

__all__ = ["UnusableFileError", "VerifiedFiles"]


class UnusableFileError(Exception):
    """The file cannot be used; the message continues the file's address with the reason."""


class _Bring(Protocol):
    """Fetch a partition; *again* bypasses every cache."""

    def __call__(
        self, request: FetchRequest, part_path: Path, *, again: bool = False
    ) -> Arrived | Unchanged | Absent: ...


def _server(
    base: str, patience: download.Patience | None, *, agent: str, limit: int
) -> tuple[download.Downloader, download.Patience]:
    from materia_http.download import Downloader, Patience

    patience = patience or Patience()
    return Downloader(base, patience, agent=agent, limit=limit), patience


class VerifiedFiles:
    """The files of a source, on a server or in a folder; `fetch` checks each before it is used.

    Several threads may fetch at once.

    Args:
        base: An address on the server: its scheme and host say which proxy is used.
        folder: The folder that holds the files in place of a server, or None.
        check: Function that checks the file of a partition, and returns the identity of its rows;
            it raises UnusableFileError.
        damaged: Function that says whether a refused file looks damaged in transfer: it is then
            fetched again.
        agent: Name of the source for the server's log.
        limit: Most bytes that a file may have.
        patience: Retry and time limits for a server.
        came_from: Function that checks the address of a file of a partition behind all redirects;
            it raises UnusableFileError.
        shows_its_end: Whether `check` notices that the end of a file is missing, as it does with a
            zip. If not, a file whose length the server does not announce is an error.

    Raises:
        VariableError: a variable for proxies or certificates cannot be used.
    """

    def __init__(
        self,
        base: str,
        folder: Path | None,
        *,
        check: Callable[[Path, Partition], str],
        damaged: Callable[[Path], bool],
        agent: str,
        limit: int,
        patience: download.Patience | None = None,
        came_from: Callable[[str, Partition], None] = lambda _url, _partition: None,
        shows_its_end: bool = True,
    ) -> None:
        self._check = check
        self._came_from = came_from
        self._damaged = damaged
        self._shows_its_end = shows_its_end
        self._bring: _Bring | None = None
        self._patience: download.Patience | None = None  # with a folder
        self._lock = threading.Lock()
        self._server = partial(_server, base, patience, agent=agent, limit=limit)
        if folder is not None:
            from materia_http import mirror_folder

            self._bring = partial(mirror_folder.copy, root=folder, limit=limit)
        elif needs_proxy(base):
            self._connect()  # which checks the proxy's address

    def _connect(self) -> _Bring:
        """What fetches a partition, made for the first one: importing a client takes time."""
        with self._lock:
            if self._bring is None:
                downloader, self._patience = self._server()
                self._bring = downloader.download
                weakref.finalize(self, downloader.close)
            return self._bring

    def fetch(self, request: FetchRequest, /) -> FetchResult:
        """Fetch and check one file, as `materia.Source.fetch` promises.

        A damaged file is fetched again. It is refused when the same bytes arrive twice; when they
        differ, or the server sent no length, the damage is from the transfer.

        Raises:
            SourceError: the server or the folder cannot be reached, or the transfer damages the
                file; the message has the address.
        """
        from materia.data import Refused

        known = request.known
        seen = {known.refused_sha256 if known is not None and known.refused is not None else None}
        attempt = 1
        while True:
            arrived = self._ask(request, again=attempt > 1)
            if not isinstance(arrived, Arrived):
                return arrived
            if not arrived.framed and not self._shows_its_end:
                arrived.path.unlink()
                raise SourceError(
                    f"{request.partition.url}: the server does not announce the length, so a file "
                    "that breaks off cannot be noticed; it was not used"
                )
            result = self._judge(request, arrived)
            if not isinstance(result, Refused):
                _aside(request).unlink(missing_ok=True)
                return result
            if self._patience is None or not self._damaged(_aside(request)):
                return result
            if arrived.sha256 in seen and arrived.framed:
                return replace(result, etag=None, last_modified=None)
            if arrived.sha256 in seen or attempt == self._patience.attempts:
                _aside(request).unlink()
                raise SourceError(
                    f"{request.partition.url}: {result.reason}; it was damaged in transfer, or "
                    f"broke off ({attempt} attempt{'s' if attempt > 1 else ''}): run again"
                )
            seen.add(arrived.sha256)
            time.sleep(self._patience.first_wait * (2 ** (attempt - 1) - 1))  # at once, then later
            attempt += 1

    def _ask(self, request: FetchRequest, *, again: bool) -> Arrived | Unchanged | Absent | Refused:
        """Fetch one file without any check."""
        from materia.data import Refused

        try:
            return self._connect()(request, _aside(request).with_suffix(".part"), again=again)
        except TooLargeError as error:
            return Refused(reason=str(error), etag=None, last_modified=None, path=None)
        except OSError as error:
            raise SourceError(
                f"{request.partition.url}: cannot write it to {request.directory}: "
                f"{error.strerror or error}"
            ) from error

    def _judge(self, request: FetchRequest, arrived: Arrived) -> Fetched | Unchanged | Refused:
        """Classify a file that arrived: new, unchanged or refused."""
        from materia.data import Fetched, RawFile, Refused, Unchanged

        partition, known = request.partition, request.known
        before = known.raw if known is not None and known.url == partition.url else None
        if known is not None and before is not None and before.sha256 == arrived.sha256:
            # Without validators in the request the sink has lost the file and needs it again;
            # after a refused file, the server has the one before it again.
            if known.refused is None and (known.etag or known.last_modified):
                arrived.path.unlink()
                return Unchanged(
                    etag=arrived.etag, last_modified=arrived.last_modified, sha256=arrived.sha256
                )
            content = before.content
        else:
            try:
                if arrived.url is not None:
                    self._came_from(arrived.url, partition)
                content = self._check(arrived.path, partition)
            except UnusableFileError as error:
                return Refused(
                    reason=str(error),
                    etag=arrived.etag,
                    last_modified=arrived.last_modified,
                    path=arrived.path.replace(_aside(request)),
                    sha256=arrived.sha256,
                )
        return Fetched(
            raw=RawFile(
                partition=partition.key,
                file=partition.file,
                url=partition.url,
                sha256=arrived.sha256,
                content=content,
                size=arrived.size,
                etag=arrived.etag,
                last_modified=arrived.last_modified,
                fetched_at=datetime.now(UTC),
            ),
            path=arrived.path.replace(_aside(request).with_suffix(_suffix(partition))),
        )


def _aside(request: FetchRequest) -> Path:
    """Where a file that is refused lies."""
    return request.directory / f"{request.partition.key.replace('/', '-')}.refused"


def _suffix(partition: Partition) -> str:
    return Path(partition.file).suffix or ".file"
