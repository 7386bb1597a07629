"""PSD Online as a source: list the due releases, fetch and check them, load them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from materia.errors import ConfigError, SourceError
from materia_http.verified import VerifiedFiles

from materia_psdonline.settings import Settings

if TYPE_CHECKING:
    from materia.data import (
        FetchRequest,
        FetchResult,
        LoadReport,
        LoadRequest,
        Partition,
        PartitionsRequest,
    )
    from materia_http.download import Patience

# The largest real file is about 15 MB. Thirty times that is not a release.
MAX_FILE_BYTES = 1 << 29


class PsdOnline:
    """The archive of PSD Online, on USDA's server or in a folder."""

    def __init__(self, settings: Settings, patience: Patience | None = None) -> None:
        self.settings = settings
        self._files = VerifiedFiles(
            settings.base,
            settings.folder,
            check=_check,
            damaged=_is_damaged,
            agent="materia-psdonline",
            limit=MAX_FILE_BYTES,
            patience=patience,
        )

    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        """The releases that are due now: see `releases.is_due` and `mirror_folder.is_due`.

        Raises:
            ConfigError: the oldest month to fetch is in the future.
            SourceError: the folder has no release at all.
        """
        from materia_http import mirror_folder as folder

        from materia_psdonline.releases import all_partitions, is_due

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

        Raises:
            SourceError: the server or the folder cannot be reached, or the transfer damages the
                file; the message has the address.
        """
        return self._files.fetch(request)

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


# A command that only asks for the models imports nothing that reads an archive.
def _check(path: Path, partition: Partition) -> str:
    from materia_psdonline.release_file.archive import check

    return check(path, partition.file)


def _is_damaged(path: Path) -> bool:
    from materia_psdonline.release_file.damage import damaged

    return damaged(path)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
