"""Sinks of a bucket, each as on a machine of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fakes.odd_store import OddStore
from fakes.patience import QUICK
from fakes.s3 import KEY, SECRET, S3Server
from materia_s3.settings import KEYS, TABLE
from materia_s3.sink import S3Sink
from materia_store.bucket.address import Address
from materia_store.bucket.pointer import KEPT
from materia_store.object_store import Patience

Machine = Callable[[str], S3Sink]


def address(server: S3Server | OddStore, bucket: str) -> Address:
    return Address(
        bucket=bucket,
        prefix="coffee",
        endpoint=server.endpoint,
        region="us-east-1",
        table=TABLE,
        keys=KEYS,
    )


def machines(
    server: S3Server | OddStore,
    bucket: str,
    folder: Path,
    patience: Patience = QUICK,
    kept: int = KEPT,
) -> Machine:
    """Sinks on machines of their own, by name: nothing but the bucket is between them."""

    def on(name: str) -> S3Sink:
        return S3Sink(
            address(server, bucket),
            key=KEY,
            secret=SECRET,
            cache=folder / name,
            patience=patience,
            kept=kept,
        )

    return on
