"""Iceberg sinks for tests, and a reader that follows only the Iceberg specification."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
from fakes.iceberg_catalog import TOKEN, IcebergCatalog
from fakes.patience import QUICK
from fakes.s3 import KEY, SECRET, S3Server
from materia.data import PublishRequest, Table
from materia.protocols import Sink
from materia_iceberg import materia_sinks
from materia_iceberg.keeping import Keeping
from materia_iceberg.settings import read_settings
from materia_iceberg.sink import IcebergSink
from materia_store.object_store import Patience
from pyiceberg.io import FileIO, InputFile, OutputFile
from pyiceberg.manifest import read_manifest_list

BUCKET_KEY = f"{KEY}:{SECRET}"
SECRETS = {"ICEBERG_TOKEN": TOKEN, "ICEBERG_BUCKET_KEY": BUCKET_KEY}
Machine = Callable[[str], IcebergSink]
# A busy machine answers late; retries after a fault end soon.
PATIENT = replace(QUICK, request=timedelta(seconds=60))


def settings_of(
    store: S3Server, bucket: str, uri: str, warehouse: str = "lake"
) -> dict[str, object]:
    """The settings `[sinks.iceberg]` of a test."""
    return {
        "bucket": f"s3://{bucket}/coffee",
        "endpoint": store.endpoint,
        "catalog": uri,
        "warehouse": warehouse,
    }


def machines(
    settings: dict[str, object],
    folder: Path,
    patience: Patience = PATIENT,
    keeping: Keeping | None = None,
) -> Machine:
    """Sinks on separate machines, by name, which share only the bucket and the catalog."""
    (plugin,) = materia_sinks()
    whole = {one.name: one.default for one in plugin.settings} | settings

    def on(name: str) -> IcebergSink:
        read = read_settings(whole, token=TOKEN, key=BUCKET_KEY)
        return IcebergSink(read, cache=folder / name, keeping=keeping, patience=patience)

    return on


def build(sink: Sink, sql: str) -> Path:
    """The working copy after a transform that executes *sql*."""
    database = sink.checkout()
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS serving")
        connection.execute(sql)
    return database


def run(
    sink: Sink, name: str, sql: str, *tables: str, fingerprint: str | None = None
) -> list[Table]:
    """A whole run with a transform that executes *sql*."""
    database = build(sink, sql)
    request = PublishRequest(
        run=name, database=database, tables=tables, fingerprint=fingerprint or name
    )
    return list(sink.publish(request))


class Reader:
    """Reads tables by the specification, from manifests to Parquet, without code of materia."""

    def __init__(self, store: S3Server, load: Callable[[str], dict[str, Any]]) -> None:
        """*load* returns the metadata of a table by its name."""
        self._store = store
        self._load = load

    def files(self, name: str, snapshot: int | None = None) -> list[Any]:
        """The data files of a snapshot, or of the current one, as read by pyiceberg."""
        metadata = self._load(name)
        wanted = metadata["current-snapshot-id"] if snapshot is None else snapshot
        found = [one for one in metadata["snapshots"] if one["snapshot-id"] == wanted]
        if not found:
            assert wanted in {-1, None}, f"{name} has no snapshot {wanted}"
            return []
        reading = _Reading(self)
        return [
            entry.data_file
            for manifest in read_manifest_list(reading.new_input(found[0]["manifest-list"]))
            for entry in manifest.fetch_manifest_entry(reading, discard_deleted=True)
        ]

    def rows(self, name: str, sql: str = "FROM it", snapshot: int | None = None) -> list[Any]:
        """The rows of the query *sql* on the table `it`."""
        with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
            paths = []
            for number, file in enumerate(self.files(name, snapshot)):
                path = Path(folder, f"{number}.parquet")
                path.write_bytes(self.content(file.file_path))
                paths.append(str(path))
            if not paths:
                return []
            connection.execute(f"CREATE VIEW it AS FROM read_parquet({paths})")
            return connection.sql(sql).fetchall()

    def content(self, location: str) -> bytes:
        bucket, _, name = location.removeprefix("s3://").partition("/")
        return self._store.content(bucket, name)

    def published(self) -> dict[str, int]:
        """The published snapshot of each table, from `publication.run`."""
        found = self.rows(
            "publication.run",
            "SELECT table_name, snapshot_id FROM it WHERE state = 'published'",
        )
        return dict(found)

    def referenced(self, name: str) -> set[str]:
        """Every file that a snapshot of the table refers to."""
        reading, found = _Reading(self), set()
        for one in self._load(name)["snapshots"]:
            found.add(one["manifest-list"])
            for manifest in read_manifest_list(reading.new_input(one["manifest-list"])):
                found.add(manifest.manifest_path)
                entries = manifest.fetch_manifest_entry(reading, discard_deleted=True)
                found |= {entry.data_file.file_path for entry in entries}
        return found


def reader_of(store: S3Server, catalog: IcebergCatalog) -> Reader:
    return Reader(store, catalog.metadata)


class _Read(InputFile):
    """A file in the store."""

    def __init__(self, reader: Reader, location: str) -> None:
        super().__init__(location)
        self._reader = reader

    def __len__(self) -> int:
        return len(self._reader.content(self.location))

    def exists(self) -> bool:
        return True

    def open(self, seekable: bool = True) -> io.BytesIO:  # noqa: FBT001, FBT002 -- as inherited
        return io.BytesIO(self._reader.content(self.location))


class _Reading(FileIO):
    """The part of FileIO that reading needs."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self._reader = reader

    def new_input(self, location: str) -> InputFile:
        return _Read(self._reader, location)

    def new_output(self, location: str) -> OutputFile:
        raise NotImplementedError

    def delete(self, location: object) -> None:
        raise NotImplementedError
