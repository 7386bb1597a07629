"""A raw layer made of releases of our own rows, as the loader of PSD Online fills it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from fakes.psd import ALL, Row, zip_rows
from materia.data import LoadReport, LoadRequest, RawFile
from materia_psdonline.raw_layer.load import load


@dataclass
class Releases:
    """Archives by month, and the database they are loaded into."""

    directory: Path
    files: dict[tuple[str, str], RawFile] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        """Not called like the catalog, as a working copy is not."""
        return self.directory / "somebody's file.duckdb"

    def publish(self, month: str, rows: Iterable[Row], file: str = ALL) -> None:
        """Put an archive of *rows* in place for *month*, `2025-11`, or replace it."""
        self.keep(month, zip_rows(rows, file), file)

    def keep(self, month: str, content: bytes, file: str = ALL) -> None:
        """Put an archive in place as it is."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.paths[sha256] = self.directory / f"{sha256}.zip"
        self.paths[sha256].write_bytes(content)
        partition = f"{month}/{file.removesuffix('_csv.zip')}"
        self.files[month, file] = RawFile(
            partition=partition,
            file=file,
            url=f"https://example.test/{partition}",
            sha256=sha256,
            content=sha256,
            size=len(content),
            etag=None,
            last_modified=None,
            fetched_at=datetime(2026, 1, 1, tzinfo=UTC),
        )

    def take_over(self, other: Releases) -> None:
        """Have a copy of the database of *other*, and its archives."""
        self.files.update(other.files)
        self.paths.update(other.paths)
        shutil.copyfile(other.database, self.database)

    def withdraw(self, month: str, file: str = ALL) -> None:
        """Take an archive away."""
        del self.files[month, file]

    @property
    def published(self) -> Path:
        """The database as it was last published; there is none at first."""
        return self.directory / "published.duckdb"

    def keep_published(self) -> None:
        """Publish the database as it is."""
        self.published.write_bytes(self.database.read_bytes())

    def load(self) -> LoadReport:
        """Bring the database to the archives in place, compared with what was published."""
        return load(
            LoadRequest(
                database=self.database,
                files=tuple(self.files[key] for key in sorted(self.files)),
                find=lambda _partition, _file, sha256: self.paths.get(sha256),
                directory=self.directory,
                published=self.published if self.published.exists() else None,
            )
        )

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        """Query the database with plain DuckDB, as any reader does."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            return connection.execute(sql).fetchall()
