"""The sink: objects of raw files and one published database, each in its own module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from materia.data import FetchResult, Known, Partition, PublishRequest, RawFile, Table
from materia_store.connection import naming
from materia_store.object_store import Patience

from materia_s3.address import Address
from materia_s3.cache import Cache
from materia_s3.database import Database
from materia_s3.objects import Objects
from materia_s3.raw_files import RawFiles


class S3Sink:
    """Raw files and finished tables in a bucket; copies of them on this machine."""

    def __init__(
        self,
        address: Address,
        *,
        key: str,
        secret: str,
        cache: Path,
        patience: Patience | None = None,
    ) -> None:
        """Use the bucket at *address*, and keep copies under *cache*, which need not exist yet."""
        objects = Objects(address, key=key, secret=secret, patience=patience)
        self._copies = Cache(cache / address.folder, objects)
        self._database = Database(objects, self._copies)
        self._raw = RawFiles(objects, self._copies)

    def known(self, source: str, /) -> Mapping[str, Known]:
        """As `RawFiles.known`."""
        return self._raw.known(source)

    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        """As `RawFiles.record`."""
        with naming(self._copies.folder):
            self._raw.record(source, partition, result)

    def refuse(self, source: str, raw: RawFile, reason: str, /) -> None:
        """As `RawFiles.refuse`."""
        self._raw.refuse(source, raw, reason)

    def find_raw(self, source: str, partition: str, file: str, sha256: str, /) -> Path | None:
        """As `RawFiles.find`."""
        with naming(self._copies.folder):
            return self._raw.find(source, partition, file, sha256)

    def fingerprint(self) -> str | None:
        """The fingerprint of what is published; raises as `Database.pointer`."""
        pointer = self._database.pointer()
        return pointer.fingerprint if pointer else None

    def published(self) -> Path | None:
        """As `Database.published`."""
        return self._database.published()

    def checkout(self) -> Path:
        """As `Database.checkout`, and as `RawFiles.miss_nothing`."""
        self._raw.miss_nothing()
        return self._database.checkout()

    def publish(self, request: PublishRequest, /) -> Sequence[Table]:
        """As `Database.publish`, and as `RawFiles.miss_nothing`."""
        self._raw.miss_nothing()
        return self._database.publish(request)
