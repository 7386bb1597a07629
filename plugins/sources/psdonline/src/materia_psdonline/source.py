"""PSD Online as a source: which releases to ask for, and what becomes of each answer."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from materia.errors import ConfigError, SourceError
from materia.model import (
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

from materia_psdonline import folder
from materia_psdonline.archive import ArchiveError, check
from materia_psdonline.arrival import Arrived, TooLargeError
from materia_psdonline.releases import all_partitions, is_due
from materia_psdonline.settings import Settings

if TYPE_CHECKING:
    from materia_psdonline.download import Patience


class PsdOnline:
    """The archive of PSD Online, on USDA's server or in a folder."""

    def __init__(self, settings: Settings, patience: Patience | None = None) -> None:
        self.settings = settings
        self._bring: Callable[[FetchRequest, Path], Arrived | Unchanged | Absent]
        if settings.folder is not None:
            self._bring = partial(folder.copy, root=settings.folder)
        else:
            # Reading a folder needs no HTTP client, and importing one takes time.
            from materia_psdonline.download import Downloader, Patience

            downloader = Downloader(patience or Patience())
            self._bring = downloader.download
            weakref.finalize(self, downloader.close)

    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        """The releases worth asking for now: see `releases.is_due` and `folder.is_due`.

        Raises:
            ConfigError: the oldest month to ask for is still to come.
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
        if not due:
            raise SourceError(
                f"{settings.folder}: has no release since {settings.first:%Y-%m}, for example "
                f"{settings.first:%Y/%m}/{settings.files[0]}; set sources.psdonline.base_url to "
                "the folder that holds the years"
            )
        return due

    def fetch(self, request: FetchRequest, /) -> FetchResult:
        """One file of one release, checked as far as that needs no parsing of rows.

        Raises:
            SourceError: the server or the folder could not be asked; the message has the address.
        """
        name = f"{request.partition.key.replace('/', '-')}.zip"
        part = request.directory / f"{name}.part"
        try:
            arrived = self._bring(request, part)
        except TooLargeError as error:
            return Refused(
                reason=str(error), etag=error.etag, last_modified=error.last_modified, path=None
            )
        except OSError as error:
            raise SourceError(
                f"{request.partition.url}: cannot be written to {request.directory}: "
                f"{error.strerror or error}"
            ) from error
        if not isinstance(arrived, Arrived):
            return arrived
        return _judge(request, arrived, request.directory / name)

    def load(self, request: LoadRequest, /) -> LoadReport:
        """As the protocol says; see `load.py`.

        Raises:
            SourceError: the disk is full, or a file cannot be read or written. What was loaded
                before is unharmed.
        """
        import duckdb

        from materia_psdonline.load import load

        try:
            return load(request)
        # DuckDB calls a database that it could not write to invalid from then on: FatalException.
        except (
            duckdb.FatalException,
            duckdb.IOException,
            duckdb.OutOfMemoryException,
            duckdb.TransactionException,
            OSError,
        ) as error:
            raise SourceError(
                f"{request.database}: {_first_line(error)}; what was loaded before "
                "is unharmed: see to it and run again"
            ) from error

    def models(self) -> Path | None:
        """The models of the raw and staging layers, which come with this package."""
        models = Path(__file__).parent / "models"
        return models if models.is_dir() else None


def _judge(request: FetchRequest, arrived: Arrived, final: Path) -> Fetched | Unchanged | Refused:
    """Whether a file that arrived is new, the known one again, or of no use."""
    partition, known = request.partition, request.known
    before = known.raw if known is not None and known.url == partition.url else None
    if known is not None and before is not None and before.sha256 == arrived.sha256:
        # Nothing to compare the answer with means that the sink has lost the file and wants it;
        # after a file that was refused, the one before it has come back.
        if known.refused is None and (known.etag or known.last_modified):
            arrived.path.unlink()
            return Unchanged(etag=arrived.etag, last_modified=arrived.last_modified)
        content = before.content
    else:
        try:
            content = check(arrived.path, partition.file)
        except ArchiveError as error:
            return Refused(
                reason=str(error),
                etag=arrived.etag,
                last_modified=arrived.last_modified,
                path=arrived.path.replace(final.with_suffix(".refused")),
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
        path=arrived.path.replace(final),
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
