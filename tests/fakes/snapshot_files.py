"""Files of a declared source in a folder, fetched, kept and loaded without a server or a sink."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from materia.data import (
    Fetched,
    FetchRequest,
    FetchResult,
    Known,
    LoadReport,
    LoadRequest,
    PartitionsRequest,
    RawFile,
)
from materia.hookspecs import Opening
from materia.protocols import Source
from materia_snapshots import Csv, Months, Runs, Snapshots
from materia_snapshots.periods import Period

NOW = datetime(2026, 3, 20, tzinfo=UTC)
PRICES = Snapshots(
    name="prices",
    summary="Prices by month",
    url="https://prices.example",
    partitions=Months("{year}-{month:02}.csv", since="2026-01"),
    each="slice",
    form=Csv(),
    key=("item",),
    columns={"item": "TEXT", "price": "DECIMAL(18, 2)"},
)


def zipped(members: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive with these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=method)
    return file.getvalue()


def gzipped(content: bytes) -> bytes:
    """The same content in gzip."""
    return gzip.compress(content, mtime=0)


class Shelf:
    """A folder of files, the source that reads it, and what a sink would have kept of it."""

    def __init__(self, folder: Path, declared: Snapshots, **settings: object) -> None:
        self.declared = declared
        self.folder = folder / "files"
        self.folder.mkdir(exist_ok=True)
        self.kept = folder / "kept"
        self.kept.mkdir(exist_ok=True)
        self.database = folder / "materia.duckdb"
        self.settings = settings
        self.raw: dict[str, RawFile] = {}

    def open(self) -> Source:
        plugin = self.declared.plugin()
        settings = {one.name: one.default for one in plugin.settings}
        given = {**settings, "url": str(self.folder), **self.settings}
        return plugin.open(Opening(secrets={}, settings=given, directory=self.folder))

    def put(self, key: str, content: str | bytes) -> FetchResult:
        """Put the file of a partition into the folder, and fetch it."""
        path = next(one.path for one in self._periods() if one.key == key)
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.fetch(key)

    def _periods(self) -> list[Period]:
        partitions = self.declared.partitions
        assert not isinstance(partitions, Runs)
        since = str(self.settings.get("since", getattr(partitions, "since", "")))
        return list(partitions.periods(since, NOW.date()))

    def fetch(self, key: str, known: Known | None = None) -> FetchResult:
        source = self.open()
        listed = source.partitions(PartitionsRequest(known={}, now=datetime.now(UTC)))
        partition = next(one for one in listed if one.key == key)
        result = source.fetch(FetchRequest(partition=partition, known=known, directory=self.kept))
        if isinstance(result, Fetched):
            result.path.replace(self.kept / result.raw.sha256)
            self.raw[key] = result.raw
        return result

    def drop(self, key: str) -> None:
        """Take a file out of use."""
        del self.raw[key]

    def load(self, *, published: Path | None = None, database: Path | None = None) -> LoadReport:
        return self.open().load(
            LoadRequest(
                database=database or self.database,
                files=tuple(raw for _, raw in sorted(self.raw.items())),
                find=lambda _partition, _file, sha256: self._kept(sha256),
                directory=self.kept,
                published=published,
            )
        )

    def _kept(self, sha256: str) -> Path | None:
        path = self.kept / sha256
        return path if path.is_file() else None

    def rows(self, sql: str, *, database: Path | None = None) -> list[tuple[object, ...]]:
        with duckdb.connect(str(database or self.database), read_only=True) as connection:
            return connection.execute(sql).fetchall()


def with_(declared: Snapshots, **changes: object) -> Snapshots:
    """The declaration with some fields changed."""
    return replace(declared, **changes)  # type: ignore[arg-type]
