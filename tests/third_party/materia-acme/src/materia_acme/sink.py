"""A sink in one folder: raw files by their hash, and a folder for each run that was published.

acme/known.sqlite             what is known of each partition
acme/files/<sha256>           raw files
acme/work/acme.duckdb         the working copy
acme/runs/<run>/acme.duckdb   what a run published, beside it what it said of it
acme/current                  a link to the newest of them
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
from materia.data import FetchResult, Known, Partition, PublishRequest, RawFile, Table
from materia.errors import BusyError, SinkError

from materia_acme.known import Ledger

DATABASE = "acme.duckdb"


class AcmeSink:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._work = folder / "work"
        self._current = folder / "current"
        self._ledger = Ledger(folder / "known.sqlite", folder / "files")
        self._lock: int | None = None

    def known(self, source: str, /) -> Mapping[str, Known]:
        with _told(self._folder):
            return self._ledger.known(source)

    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        with _told(self._folder):
            self._ledger.record(source, partition, result)

    def refuse(self, source: str, raw: RawFile, reason: str, /) -> None:
        with _told(self._folder):
            self._ledger.refuse(source, raw, reason)

    def find_raw(self, source: str, partition: str, file: str, sha256: str, /) -> Path | None:
        path = self._folder / "files" / sha256
        return path if path.is_file() else None

    def fingerprint(self) -> str | None:
        run = self._published_run()
        return None if run is None else run["stamp"]

    def published(self) -> Path | None:
        return None if self._published_run() is None else self._current / DATABASE

    def checkout(self) -> Path:
        with _told(self._folder):
            self._take_lock()
            base, copy = self._work / "base", self._work / DATABASE
            if not base.exists() or base.read_text() != self._base():
                for path in (base, copy, copy.with_name(f"{DATABASE}.wal")):
                    path.unlink(missing_ok=True)
                if self._current.exists():
                    shutil.copyfile(self._current / DATABASE, copy)
                else:
                    duckdb.connect(str(copy)).close()
                _write(base, self._base())
            return copy

    def publish(self, request: PublishRequest, /) -> Sequence[Table]:
        with _told(self._folder):
            self._take_lock()
            run = self._published_run()
            if run is None or run["run"] != request.run:
                self._refuse_changed()
                tables = [asdict(table) for table in _tables(request)]
                run = {"run": request.run, "stamp": request.fingerprint, "tables": tables}
                folder = self._folder / "runs" / quote(request.run, safe="")
                folder.mkdir(parents=True, exist_ok=True)
                _write(folder / "run.json", json.dumps(run))
                request.database.replace(folder / DATABASE)
                link = self._folder / "current.part"
                link.unlink(missing_ok=True)
                link.symlink_to(folder.relative_to(self._folder))
                link.replace(self._current)  # the one step that readers see
            self._give_lock()
            return [Table(**table) for table in run["tables"]]

    def _published_run(self) -> dict[str, Any] | None:
        try:
            text = (self._current / "run.json").read_text()
        except FileNotFoundError:
            return None
        run: dict[str, Any] = json.loads(text)
        return run

    def _base(self) -> str:
        return str(self._current.readlink()) if self._current.exists() else "nothing"

    def _refuse_changed(self) -> None:
        base = self._work / "base"
        if not base.exists() or base.read_text() != self._base():
            raise BusyError(f"{self._folder}: has changed since this run began; run again")

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        self._work.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(lock, 20, 0).decode()
            os.close(lock)
            raise BusyError(f"{self._folder}: PID {owner or 'unknown'} is at work on it") from error
        os.pwrite(lock, f"{os.getpid():<20}".encode(), 0)
        self._lock = lock

    def _give_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __del__(self) -> None:
        self._give_lock()


def _tables(request: PublishRequest) -> list[Table]:
    tables = []
    with duckdb.connect(str(request.database)) as connection:
        comments = dict(
            connection.execute(
                "SELECT schema_name || '.' || table_name, comment FROM duckdb_tables() UNION ALL "
                "SELECT schema_name || '.' || view_name, comment FROM duckdb_views()"
            ).fetchall()
        )
        for name in request.tables:
            if name not in comments:
                raise SinkError(f"{request.database}: has no table {name}")
            rows = connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]
            tables.append(Table(name=name, rows=rows, description=comments[name] or ""))
        connection.execute("CHECKPOINT")
    return tables


def _write(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    part.replace(path)


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Errors of the system and of DuckDB, in one sentence."""
    try:
        yield
    except (OSError, duckdb.Error) as error:
        raise SinkError(f"{folder}: {error}; nothing published was harmed") from error
