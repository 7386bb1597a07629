"""Iceberg sink: raw files and a DuckDB file in S3, tables in an Iceberg REST catalog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from materia.data import PublishedState
from materia_store.bucket.cache import Cache
from materia_store.bucket.database import Database
from materia_store.bucket.objects import Objects
from materia_store.bucket.raw_files import RawFiles
from materia_store.bucket.sink import BucketSink
from materia_store.object_store import Patience

from materia_iceberg.catalog.client import Catalog
from materia_iceberg.keeping import Keeping
from materia_iceberg.publication import Publication
from materia_iceberg.settings import Settings


class IcebergSink(BucketSink):
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
        copies = Cache(cache / settings.folder, objects)
        catalog = Catalog(settings, patience)
        keeping = keeping or Keeping()
        published = Publication(catalog, settings, keeping, patience)
        self._published = published
        super().__init__(
            copies=copies,
            database=Database(objects, copies, published, kept=keeping.publications),
            raw=RawFiles(objects, copies, published=published.where),
        )

    def publications(self) -> Sequence[PublishedState]:
        """The last publications, newest first, each with its snapshot of `publication.run`."""
        found = super().publications()
        snapshots = self._published.snapshots()
        return [replace(one, place=snapshots.get(one.run, one.place)) for one in found]
