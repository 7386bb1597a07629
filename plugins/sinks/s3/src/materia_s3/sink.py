"""The sink: objects of raw files and one published database, each in its own module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from materia.data import FetchResult, Known, Partition, PublishRequest, RawFile, Table
from materia_store.bucket.address import Address
from materia_store.bucket.cache import Cache
from materia_store.bucket.database import Database
from materia_store.bucket.objects import Objects
from materia_store.bucket.raw_files import RawFiles
from materia_store.connection import naming
from materia_store.object_store import Patience

from materia_s3.published_object import PublishedObject

TABLE = "sinks.s3"
KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def address_of(settings: Mapping[str, object]) -> Address:
    """The bucket that the settings name; raises as `Address.of_settings`."""
    return Address.of_settings(settings, table=TABLE, keys=KEYS)


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
        published = PublishedObject(objects)
        self._database = Database(objects, self._copies, published)
        self._raw = RawFiles(objects, self._copies, published=published.where)

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

    def stamp(self) -> str | None:
        """The stamp of what is published; raises as `Database.pointer`."""
        pointer = self._database.pointer()
        return pointer.stamp if pointer else None

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
