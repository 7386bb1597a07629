"""PSD Online as a source: list the due releases, fetch and check them, load them."""

from __future__ import annotations

import time
import weakref
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from materia.data import (
    Absent,
    Fetched,
    FetchRequest,
    FetchResult,
    LoadReport,
    LoadRequest,
    Partition,
    PartitionsRequest,
    RawFile,
    Refused,
    Unchanged,
)
from materia.errors import ConfigError, SourceError

from materia_psdonline.fetch import mirror_folder as folder
from materia_psdonline.fetch.partial_file import Arrived, TooLargeError
from materia_psdonline.release_file.archive import ArchiveError, check
from materia_psdonline.release_file.damage import damaged
from materia_psdonline.releases import all_partitions, is_due
from materia_psdonline.settings import Settings

if TYPE_CHECKING:
    from materia_psdonline.fetch.download import Patience


class _Bring(Protocol):
    """Fetch a partition; *again* bypasses every cache."""

    def __call__(
        self, request: FetchRequest, part_path: Path, *, again: bool = False
    ) -> Arrived | Unchanged | Absent: ...


class PsdOnline:
    """The archive of PSD Online, on USDA's server or in a folder."""

    def __init__(self, settings: Settings, patience: Patience | None = None) -> None:
        self.settings = settings
        self._bring: _Bring
        self._patience: Patience | None = None  # with a folder
        if settings.folder is not None:
            self._bring = partial(folder.copy, root=settings.folder)
        else:
            # A folder needs no HTTP client, and importing one takes time.
            from materia_psdonline.fetch.download import Downloader, Patience

            self._patience = patience or Patience()
            downloader = Downloader(settings.base, self._patience)
            self._bring = downloader.download
            weakref.finalize(self, downloader.close)

    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        """The releases that are due now: see `releases.is_due` and `mirror_folder.is_due`.

        Raises:
            ConfigError: the oldest month to fetch is in the future.
            SourceError: the folder has no release at all.
        """
        settings, known = self.settings, request.known
        every = list(
            all_partitions(settings.base, settings.first, settings.files, request.now.date())
        )
        if not every:
            raise ConfigError(
                "sources.psdonline.first_release must be a month that has begun, "
                f"is '{settings.first:%Y-%m}'"
            )
        if settings.folder is None:
            return [one for one in every if request.everything or is_due(one, known, request.now)]
        due = [one for one in every if folder.is_due(one, known)]
        # Without any of these files it is the wrong folder, or a disk that is not mounted.
        if not any(map(folder.is_there, due)):
            raise SourceError(
                f"{settings.folder}: has no release since {settings.first:%Y-%m}, for example "
                f"{settings.first:%Y/%m}/{settings.files[0]}; set sources.psdonline.base_url to "
                "the folder that contains the years"
            )
        return due

    def fetch(self, request: FetchRequest, /) -> FetchResult:
        """Fetch one file of one release, and check everything except its rows.

        A damaged archive is fetched again. It is refused when the same bytes arrive twice; when
        they differ, or the server sent no length, the damage is from the transfer.

        Raises:
            SourceError: the server or the folder cannot be reached, or the transfer damages the
                file; the message has the address.
        """
        known = request.known
        seen = {known.refused_sha256 if known is not None and known.refused is not None else None}
        attempt = 1
        while True:
            arrived = self._ask(request, again=attempt > 1)
            if not isinstance(arrived, Arrived):
                return arrived
            result = _judge(request, arrived)
            if not isinstance(result, Refused):
                _aside(request).unlink(missing_ok=True)
                return result
            if self._patience is None or not damaged(_aside(request)):
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
        try:
            return self._bring(request, _aside(request).with_suffix(".part"), again=again)
        except TooLargeError as error:
            return Refused(reason=str(error), etag=None, last_modified=None, path=None)
        except OSError as error:
            raise SourceError(
                f"{request.partition.url}: cannot write it to {request.directory}: "
                f"{error.strerror or error}"
            ) from error

    def load(self, request: LoadRequest, /) -> LoadReport:
        """Load the files into the raw layer; see `load.py`.

        Raises:
            SourceError: the disk is full, or a file cannot be read or written. What was loaded
                before is unharmed.
        """
        import duckdb

        from materia_psdonline.raw_layer.load import load

        try:
            return load(request)
        # After a failed write DuckDB reports a database as invalid: FatalException.
        except (
            duckdb.FatalException,
            duckdb.IOException,
            duckdb.OutOfMemoryException,
            duckdb.TransactionException,
            OSError,
        ) as error:
            raise SourceError(
                f"{request.database}: {_first_line(error)}; what was loaded before "
                "is unharmed: correct that and run again"
            ) from error

    def models(self) -> Path | None:
        """The folder of the raw and staging models, which are part of this package."""
        models = Path(__file__).parent / "models"
        return models if models.is_dir() else None


def _aside(request: FetchRequest) -> Path:
    """Where a file that is refused lies."""
    return request.directory / f"{request.partition.key.replace('/', '-')}.refused"


def _judge(request: FetchRequest, arrived: Arrived) -> Fetched | Unchanged | Refused:
    """Classify a file that arrived: new, unchanged or refused."""
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
            content = check(arrived.path, partition.file)
        except ArchiveError as error:
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
        path=arrived.path.replace(_aside(request).with_suffix(".zip")),
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
