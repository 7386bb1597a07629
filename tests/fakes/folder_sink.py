"""A sink that is a folder: a JSON file of what is known, the kept files, and one database."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from materia.data import (
    Absent,
    Fetched,
    FetchResult,
    Known,
    Partition,
    PublishRequest,
    RawFile,
    Refused,
    Table,
    Unchanged,
)
from materia.errors import BusyError


class FolderSink:
    """Keeps all there is under one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def known(self, source: str, /) -> Mapping[str, Known]:
        path = self._folder / f"{source}.json"
        if not path.exists():
            return {}
        return {key: _known(values) for key, values in json.loads(path.read_text()).items()}

    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        known = dict(self.known(source))
        old = known.get(partition.key)
        new = replace(old, checked_at=datetime.now(UTC)) if old else None
        new = new or Known(url=partition.url, checked_at=datetime.now(UTC))
        match result:
            case Fetched(raw=raw, path=path):
                kept = self._kept(source, raw.partition, raw.file, raw.sha256)
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(path, kept)
                new = Known(url=new.url, checked_at=new.checked_at, raw=raw, etag=raw.etag)
            case Unchanged(etag=etag):
                new = replace(new, etag=etag, denied=False)
            case Refused(reason=reason, etag=etag, sha256=sha256):
                new = replace(new, etag=etag, refused=reason, refused_sha256=sha256, denied=False)
            case Absent():
                new = replace(new, denied=new.raw is not None)
        self._write(source, {**known, partition.key: new})

    def refuse(self, source: str, raw: RawFile, reason: str, /) -> None:
        known = self.known(source)
        new = replace(known[raw.partition], raw=None, refused=reason, refused_sha256=raw.sha256)
        self._write(source, {**known, raw.partition: new})

    def find_raw(self, source: str, partition: str, file: str, sha256: str, /) -> Path | None:
        kept = self._kept(source, partition, file, sha256)
        return kept if kept.exists() else None

    def fingerprint(self) -> str | None:
        path = self._folder / "stamp"
        return path.read_text() if path.exists() else None

    def published(self) -> Path | None:
        path = self._folder / "published.duckdb"
        return path if path.exists() else None

    def checkout(self) -> Path:
        if (self._folder / "held").exists():
            raise BusyError("the folder is held by process 4711")
        copy = self._folder / "copy.duckdb"
        if (published := self.published()) and not copy.exists():
            shutil.copy(published, copy)
        return copy

    def publish(self, request: PublishRequest, /) -> Sequence[Table]:
        import duckdb

        with duckdb.connect(str(request.database), read_only=True) as connection:
            tables = [
                Table(
                    name=name,
                    rows=len(connection.execute(f"from {name}").fetchall()),
                    description=f"all of {name}",
                )
                for name in request.tables
            ]
        request.database.replace(self._folder / "published.duckdb")
        (self._folder / "stamp").write_text(request.fingerprint)
        return tables

    def _kept(self, source: str, partition: str, file: str, sha256: str) -> Path:
        return self._folder / source / f"{partition}-{sha256[:12]}-{file}"

    def _write(self, source: str, known: Mapping[str, Known]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f"{source}.json.part"
        part.write_text(json.dumps({key: asdict(one) for key, one in known.items()}, default=str))
        part.replace(self._folder / f"{source}.json")


def _known(values: dict[str, Any]) -> Known:
    if values["raw"] is not None:
        fetched = datetime.fromisoformat(values["raw"]["fetched_at"])
        values["raw"] = RawFile(**{**values["raw"], "fetched_at": fetched})
    values["checked_at"] = datetime.fromisoformat(values["checked_at"])
    return Known(**values)
