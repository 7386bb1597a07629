"""Iceberg sink: raw files and a DuckDB file in S3, tables in an Iceberg REST catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from materia.data import (
    FetchResult,
    Known,
    Partition,
    PublishedState,
    PublishRequest,
    RawFile,
    Table,
)
from materia_store.bucket.cache import Cache
from materia_store.bucket.database import Database
from materia_store.bucket.objects import Objects
from materia_store.bucket.raw_files import RawFiles
from materia_store.connection import naming
from materia_store.object_store import Patience

from materia_iceberg.catalog.client import Catalog
from materia_iceberg.keeping import Keeping
from materia_iceberg.publication import Publication
from materia_iceberg.settings import Settings


class IcebergSink:
    """Raw files in a bucket, finished tables in a catalog; copies of them on this machine."""

    def __init__(
        self,
        settings: Settings,
        *,
        cache: Path,
        keeping: Keeping | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Use what *settings* name, and keep copies under *cache*, which need not exist yet."""
        objects = Objects(
            settings.address,
            key=settings.identity,
            secret=settings.secret,
            patience=patience,
        )
        self._copies = Cache(cache / settings.folder, objects)
        catalog = Catalog(settings, patience)
        keeping = keeping or Keeping()
        published = Publication(catalog, settings, keeping, patience)
        self._published = published
        self._database = Database(objects, self._copies, published, kept=keeping.publications)
        self._raw = RawFiles(objects, self._copies, published=published.where)

    def known(self, source: str, /) -> Mapping[str, Known]:
        """The records by partition key."""
        return self._raw.known(source)

    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        """Record the result of a fetch: first the file, then `known.json`."""
        with naming(self._copies.folder):
            self._raw.record(source, partition, result)

    def refuse(self, source: str, raw: RawFile, reason: str, /) -> None:
        """Copy a file that could not be loaded to quarantine."""
        self._raw.refuse(source, raw, reason)

    def find_raw(self, source: str, partition: str, file: str, sha256: str, /) -> Path | None:
        """The local copy of a raw file, or None."""
        with naming(self._copies.folder):
            return self._raw.find(source, partition, file, sha256)

    def fingerprint(self) -> str | None:
        """The fingerprint of the published state, or None; one small request."""
        pointer = self._database.pointer()
        return pointer.fingerprint if pointer else None

    def published(self) -> Path | None:
        """A read-only local copy of the published database, or None."""
        return self._database.published()

    def checkout(self) -> Path:
        """Make the working copy, if no recorded partition is missing."""
        self._raw.miss_nothing()
        return self._database.checkout()

    def publish(self, request: PublishRequest, /) -> Sequence[Table]:
        """Publish the working copy, if no recorded partition is missing."""
        self._raw.miss_nothing()
        return self._database.publish(request)

    def publications(self) -> Sequence[PublishedState]:
        """As `Database.publications`, each with its snapshot of `publication.run`."""
        found = self._database.publications()
        snapshots = self._published.snapshots()
        return [replace(one, place=snapshots.get(one.run, one.place)) for one in found]

    def published_by(self, run: str, /) -> Path:
        """As `Database.published_by`."""
        return self._database.published_by(run)

    def roll_back(self, to: str, /, *, run: str) -> None:
        """As `Database.roll_back`: its tables become new snapshots."""
        self._database.roll_back(to, run=run)
