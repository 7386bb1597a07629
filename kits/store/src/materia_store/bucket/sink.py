"""Sink in a bucket: raw files, known partitions, working copy, publication and its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from materia_store.bucket.raw_files import RawFiles
from materia_store.connection import naming

__all__ = ["BucketSink"]


class BucketSink:
    """The methods of `materia.protocols.Sink` and `HasHistory` over a bucket.

    A sink subclasses it, and decides by its `Database` what publishing means.
    """

    def __init__(self, *, copies: Cache, database: Database, raw: RawFiles) -> None:
        """Keep raw files in *raw*, publish to *database*, and copy objects to *copies*."""
        self._copies = copies
        self._database = database
        self._raw = raw

    def known(self, source: str, /) -> Mapping[str, Known]:
        """The records of a source by partition key."""
        return self._raw.known(source)

    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        """Keep the file of a fetch, then record its result in `known.json`."""
        with naming(self._copies.folder):
            self._raw.record(source, partition, result)

    def refuse(self, source: str, raw: RawFile, reason: str, /) -> None:
        """Copy a file that could not be loaded to quarantine."""
        self._raw.refuse(source, raw, reason)

    def find_raw(self, source: str, partition: str, file: str, sha256: str, /) -> Path | None:
        """The path of a local copy of a raw file, or None."""
        with naming(self._copies.folder):
            return self._raw.find(source, partition, file, sha256)

    def fingerprint(self) -> str | None:
        """The fingerprint of the published database, or None; one small request."""
        pointer = self._database.pointer()
        return pointer.fingerprint if pointer else None

    def published(self) -> Path | None:
        """The path of a local copy of the published database, or None."""
        return self._database.published()

    def checkout(self) -> Path:
        """Lock the cache and make the working copy; fail if a recorded partition is missing."""
        self._raw.miss_nothing()
        return self._database.checkout()

    def publish(self, request: PublishRequest, /) -> Sequence[Table]:
        """Publish the working copy; fail if a recorded partition is missing."""
        self._raw.miss_nothing()
        return self._database.publish(request)

    def publications(self) -> Sequence[PublishedState]:
        """The last publications, newest first."""
        return self._database.publications()

    def published_by(self, run: str, /) -> Path:
        """The path of a local copy of the database that *run* published."""
        return self._database.published_by(run)

    def roll_back(self, to: str, /, *, run: str) -> None:
        """Publish the database of the run *to* once more, in the name of *run*."""
        self._database.roll_back(to, run=run)
