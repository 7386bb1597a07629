"""The sink `duckdb`: raw files (`materia_store.folder`) and the published database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from materia_duckdb.database import Database

if TYPE_CHECKING:
    from materia.data import FetchResult, Known, Partition, PublishRequest, RawFile, Table
    from materia_store.folder.raw_files import RawFiles


class DuckDBSink:
    """Raw files in a folder, finished tables in one DuckDB file."""

    def __init__(self, *, database: Path, raw: Path) -> None:
        """Publish to *database* and keep raw files under *raw*; both may be missing."""
        self._database = Database(database)
        self._raw_folder = raw

    @cached_property
    def _raw(self) -> RawFiles:
        """The raw files; a command that only asks what is published does not import them."""
        from materia_store.folder.raw_files import RawFiles

        return RawFiles(self._raw_folder, setting="sinks.duckdb.raw")

    def known(self, source: str, /) -> Mapping[str, Known]:
        """The records of a source by partition key."""
        return self._raw.known(source)

    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        """Keep the file of a fetch and record its result."""
        self._raw.record(source, partition, result)

    def refuse(self, source: str, raw: RawFile, reason: str, /) -> None:
        """Move a file that could not be loaded to quarantine."""
        self._raw.refuse(source, raw, reason)

    def find_raw(self, source: str, partition: str, file: str, sha256: str, /) -> Path | None:
        """The path of a raw file, or None."""
        return self._raw.find(source, partition, file, sha256)

    def fingerprint(self) -> str | None:
        """The fingerprint in the published database, or None."""
        return self._database.fingerprint()

    def published(self) -> Path | None:
        """The path of the published database, or None."""
        return self._database.published()

    def checkout(self) -> Path:
        """Lock the sink and make the private working copy."""
        return self._database.checkout()

    def publish(self, request: PublishRequest, /) -> Sequence[Table]:
        """Swap the working copy for the published database, atomically."""
        return self._database.publish(request)
