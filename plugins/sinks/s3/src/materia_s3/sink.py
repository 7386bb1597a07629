"""The sink `s3`: raw files (`raw_files`) and the published database (`database`)."""

from __future__ import annotations

from pathlib import Path

from materia_store.bucket.address import Address
from materia_store.bucket.cache import Cache
from materia_store.bucket.database import Database
from materia_store.bucket.objects import Objects
from materia_store.bucket.pointer import KEPT
from materia_store.bucket.raw_files import RawFiles
from materia_store.bucket.sink import BucketSink
from materia_store.object_store import Patience

from materia_s3.published_object import PublishedObject


class S3Sink(BucketSink):
    """Raw files and published tables in a bucket, with a local cache."""

    def __init__(
        self,
        address: Address,
        *,
        key: str,
        secret: str,
        cache: Path,
        patience: Patience | None = None,
        kept: int = KEPT,
    ) -> None:
        """Use the bucket at *address*, with a local cache under *cache*, which may be missing.

        The last *kept* publications can be read and restored.
        """
        objects = Objects(address, key=key, secret=secret, patience=patience)
        copies = Cache(cache / address.folder, objects)
        published = PublishedObject(objects)
        super().__init__(
            copies=copies,
            database=Database(objects, copies, published, kept=kept),
            raw=RawFiles(objects, copies, published=published.where),
        )
