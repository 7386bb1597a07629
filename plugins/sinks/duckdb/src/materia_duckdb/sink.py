"""The sink: a folder of raw files and one database, each in its own module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from materia.data import FetchResult, Known, Partition, PublishRequest, RawFile, Table

from materia_duckdb.database import Database
from materia_duckdb.raw_files import RawFiles


class DuckDBSink:
    """Raw files in a folder, finished tables in one DuckDB file."""

    def __init__(self, *, database: Path, raw: Path) -> None:
        """Publish to *database* and keep raw files under *raw*; neither need exist yet."""
        self._database = Database(database)
        self._raw = RawFiles(raw)

    def known(self, source: str, /) -> Mapping[str, Known]:
        """As `RawFiles.known`."""
        return self._raw.known(source)

    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        """As `RawFiles.record`."""
        self._raw.record(source, partition, result)

    def refuse(self, source: str, raw: RawFile, reason: str, /) -> None:
        """As `RawFiles.refuse`."""
        self._raw.refuse(source, raw, reason)

    def find_raw(self, source: str, partition: str, file: str, sha256: str, /) -> Path | None:
        """As `RawFiles.find`."""
        return self._raw.find(source, partition, file, sha256)

    def fingerprint(self) -> str | None:
        """The fingerprint in the published file; raises as `Database.publication`."""
        publication = self._database.publication()
        return publication.fingerprint if publication else None

    def published(self) -> Path | None:
        """As `Database.published`."""
        return self._database.published()

    def checkout(self) -> Path:
        """As `Database.checkout`."""
        return self._database.checkout()

    def publish(self, request: PublishRequest, /) -> Sequence[Table]:
        """As `Database.publish`."""
        return self._database.publish(request)
