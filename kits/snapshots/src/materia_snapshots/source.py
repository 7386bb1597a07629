"""A declared source at work: list the due partitions, fetch and check files, load them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from materia.data import (
    FetchRequest,
    FetchResult,
    LoadReport,
    LoadRequest,
    Partition,
    PartitionsRequest,
)
from materia.errors import SourceError
from materia_http import mirror_folder
from materia_http.verified import UnusableFileError, VerifiedFiles

from materia_snapshots.check import check
from materia_snapshots.contract import liftable, marked
from materia_snapshots.forms import Csv, Excel, JsonLines, Parquet
from materia_snapshots.pages import Pages
from materia_snapshots.periods import Listed, Period, Runs, due
from materia_snapshots.unpack import damaged

if TYPE_CHECKING:
    from materia_http.download import Patience

    from materia_snapshots.declaration import Snapshots
    from materia_snapshots.page_files import PageFiles
    from materia_snapshots.settings import Settings

ENDINGS = {Csv: ".csv", JsonLines: ".jsonl", Parquet: ".parquet", Excel: ".xlsx", Pages: ".jsonl"}
PACKED = {"": "", "zip": ".zip", "gzip": ".gz"}


class SnapshotSource:
    """The source of a declaration, opened with its settings."""

    def __init__(
        self,
        source: Snapshots,
        settings: Settings,
        patience: Patience | None = None,
        *,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        self._source = source
        self._settings = settings
        form = source.form
        self._form = JsonLines() if isinstance(form, Pages) else form
        limit = source.most_bytes
        self._pages: PageFiles | None = None
        if isinstance(form, Pages):
            from materia_snapshots.page_files import PageFiles

            agent = f"materia-{source.name}"
            self._pages = PageFiles(
                settings.base,
                form,
                runs=isinstance(source.partitions, Runs),
                agent=agent,
                limit=limit,
                secrets=secrets or {},
                patience=patience,
            )
            return
        self._files = VerifiedFiles(
            settings.base,
            settings.folder,
            check=self._check,
            damaged=lambda path: damaged(path, self._form, limit=limit),
            agent=f"materia-{source.name}",
            limit=limit,
            patience=patience,
            came_from=self._came_from,
            shows_its_end=bool(self._form.packed) or isinstance(form, Parquet | Excel),
        )

    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        """The partitions that are due now: see `periods.due` and `mirror_folder.is_due`.

        Raises:
            SourceError: the folder has no file at all.
        """
        partitions = self._source.partitions
        if isinstance(partitions, Runs):
            key, url = partitions.following(self._settings.base, request.known)
            return [Partition(key=key, url=url, file=self._name)]
        every = [
            self._partition(one)
            for one in partitions.periods(self._settings.since, request.now.date())
        ]
        folder, known = self._settings.folder, request.known
        if folder is None:
            if request.everything or isinstance(partitions, Listed):
                return every
            keys = due(
                ((one.key, one.url) for one in every),
                known,
                request.now,
                newest=self._source.recheck,
            )
            return [one for one in every if one.key in keys]
        here = [one for one in every if mirror_folder.is_due(one, known)]
        # Without any of these files it is the wrong folder, or a disk that is not mounted.
        if not any(map(mirror_folder.is_there, here)):
            path = every[0].url.removeprefix(self._settings.base).lstrip("/") if every else ""
            raise SourceError(
                f"{folder}: has no file of {self._source.name}, for example {path}; set "
                f"sources.{self._source.name}.url to the folder that contains them"
            )
        return here

    def fetch(self, request: FetchRequest, /) -> FetchResult:
        """Fetch one file, and check everything except its rows.

        Raises:
            SourceError: the server or the folder cannot be reached, or the transfer damages the
                file; the message has the address.
        """
        if self._pages is not None:
            period = self._source.partitions.of(request.partition.key)
            return self._pages.fetch(request, period or Period(key="", path=""))
        known = request.known
        if known is not None and liftable(self._source, known.refused):
            # The declaration or the settings may accept the file by now.
            request = replace(request, known=replace(known, etag=None, last_modified=None))
        return self._files.fetch(request)

    def _check(self, path: Path, _: Partition) -> str:
        try:
            return check(self._source, self._form, path, self._settings.accept)
        except UnusableFileError as error:
            raise UnusableFileError(marked(self._source, error)) from error

    def _came_from(self, url: str, partition: Partition) -> None:
        """Refuse the file of another partition, to which some servers redirect a missing one."""
        partitions = self._source.partitions
        if url == partition.url or isinstance(partitions, Runs):
            return
        place, own = unquote(url), unquote(partition.url.removeprefix(self._settings.base))
        if place.endswith(own):
            return
        for one in partitions.periods(self._settings.since, datetime.now(UTC).date()):
            if place.endswith(f"/{unquote(one.path)}"):
                raise UnusableFileError(f"is the file of {one.key}: the server redirects to {url}")

    def load(self, request: LoadRequest, /) -> LoadReport:
        """Load the files into the tables of the source; see `loading.load`.

        Raises:
            SourceError: the disk is full, or a file cannot be read or written. What was loaded
                before is unharmed.
        """
        import duckdb

        from materia_snapshots.loading.load import load

        try:
            return load(self._source, self._form, request, self._settings.accept)
        # After a failed write DuckDB reports a database as invalid: FatalException.
        except (
            duckdb.FatalException,
            duckdb.IOException,
            duckdb.OutOfMemoryException,
            duckdb.TransactionException,
            OSError,
        ) as error:
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise SourceError(
                f"{request.database}: {said}; what was loaded before is unharmed: correct that "
                "and run again"
            ) from error

    def models(self) -> Path | None:
        """The folder of the author's own models, or of those that the kit generates."""
        from materia_snapshots.loading.models import generated

        return self._source.models or generated(self._source)

    @property
    def _name(self) -> str:
        """The name of a raw file whose path has none."""
        return f"{self._source.name}{ENDINGS[type(self._source.form)]}{PACKED[self._form.packed]}"

    def _partition(self, period: Period) -> Partition:
        settings = self._settings
        path, _, query = period.path.partition("?")
        name = PurePosixPath(path).name
        if query or not PurePosixPath(name).suffix:
            name = self._name
        in_folder = path
        if query:  # no path of a file: the key is one
            in_folder = f"{period.key}{name.removeprefix(self._source.name)}"
        below = quote(in_folder) if settings.folder is not None else period.path
        return Partition(key=period.key, url=f"{settings.base}/{below}", file=name)
