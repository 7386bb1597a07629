"""What the sink knows of each partition: one row in SQLite, changed in one transaction."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from materia.data import Absent, Fetched, FetchResult, Known, Partition, RawFile, Refused, Unchanged
from materia.errors import SinkError

TABLE = """
CREATE TABLE IF NOT EXISTS known
(source TEXT, key TEXT, known TEXT, files TEXT, PRIMARY KEY (source, key))
"""


class Ledger:
    def __init__(self, path: Path, files: Path) -> None:
        self._path = path
        self._files = files

    def known(self, source: str) -> dict[str, Known]:
        with self._open() as connection:
            rows = connection.execute("SELECT key, known FROM known WHERE source = ?", [source])
            return {key: _known(json.loads(known)) for key, known in rows}

    def record(self, source: str, partition: Partition, result: FetchResult) -> None:
        with self._open() as connection:
            before, files = _read(connection, source, partition.key)
            known = Known(url=partition.url, checked_at=datetime.now(UTC))
            match result:
                case Fetched(raw=raw, path=path):
                    self._keep(path, raw)
                    known = replace(known, raw=raw, etag=raw.etag, last_modified=raw.last_modified)
                    files = [*(file for file in files if file.sha256 != raw.sha256), raw]
                case Unchanged(etag=etag, last_modified=last_modified):
                    if before is None:
                        raise SinkError(f"{partition.key}: unchanged, but nothing of it is kept")
                    known = replace(
                        before,
                        url=known.url,
                        checked_at=known.checked_at,
                        etag=etag,
                        last_modified=last_modified,
                        denied=False,
                    )
                case Absent(removed=False) if before is not None and before.raw is not None:
                    known = replace(before, checked_at=known.checked_at, denied=True)
                case Absent():
                    pass
                case Refused(reason=reason, etag=etag, last_modified=last_modified, sha256=sha256):
                    # Acme's files are small: what was refused can be fetched again by hand.
                    known = replace(
                        known,
                        raw=before.raw if before else None,
                        etag=etag,
                        last_modified=last_modified,
                        refused=reason,
                        refused_sha256=sha256,
                    )
            _write(connection, source, partition.key, known, files)

    def refuse(self, source: str, raw: RawFile, reason: str) -> None:
        with self._open() as connection:
            known, files = _read(connection, source, raw.partition)
            left = [file for file in files if file.sha256 != raw.sha256]
            if known is not None and known.raw is not None and known.raw.sha256 == raw.sha256:
                in_use = left[-1] if left else None
                known = replace(known, raw=in_use, refused=reason, refused_sha256=raw.sha256)
                _write(connection, source, raw.partition, known, left)

    def _keep(self, path: Path, raw: RawFile) -> None:
        target = self._files / raw.sha256
        if path.stat().st_size != raw.size:
            raise SinkError(f"{path}: is not what was fetched")
        self._files.mkdir(exist_ok=True)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.replace(target)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = sqlite3.connect(self._path, timeout=30)
            try:
                with connection:
                    connection.execute(TABLE)
                    yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise SinkError(f"{self._path}: {error}") from error


def _read(
    connection: sqlite3.Connection, source: str, key: str
) -> tuple[Known | None, list[RawFile]]:
    row = connection.execute(
        "SELECT known, files FROM known WHERE source = ? AND key = ?", [source, key]
    ).fetchone()
    if row is None:
        return None, []
    return _known(json.loads(row[0])), [_raw(values) for values in json.loads(row[1])]


def _write(
    connection: sqlite3.Connection, source: str, key: str, known: Known, files: list[RawFile]
) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?)",
        [source, key, _text(asdict(known)), _text([asdict(file) for file in files])],
    )


def _text(values: object) -> str:
    return json.dumps(values, default=datetime.isoformat)


def _known(values: dict[str, Any]) -> Known:
    raw = None if values["raw"] is None else _raw(values["raw"])
    checked_at = datetime.fromisoformat(values["checked_at"])
    return Known(**{**values, "raw": raw, "checked_at": checked_at})


def _raw(values: dict[str, Any]) -> RawFile:
    return RawFile(**{**values, "fetched_at": datetime.fromisoformat(values["fetched_at"])})
