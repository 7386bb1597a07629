"""Atomic publish: build in a private working copy, then swap it for the published database.

materia.duckdb                         the published database; only the swap changes it
.materia.duckdb.work/lock              lock: one materia at a time
.materia.duckdb.work/materia.duckdb    the working copy
.materia.duckdb.work/base.json         the state of the published file that the copy starts from

Views contain the name of their database, which DuckDB takes from the file name: so both files have
the same name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from materia.data import PublishRequest, Table
from materia.errors import BusyError, SinkError
from materia_store import atomic_files as durable
from materia_store import publication
from materia_store.connection import log, naming, opened, remove
from materia_store.file_lock import Lock
from materia_store.publication import Publication

REMEDY = f"{publication.REMEDY}, or name another file as sinks.duckdb.path in materia.toml"


class Database:
    """One published DuckDB file, replaced atomically."""

    def __init__(self, path: Path) -> None:
        """Publish to *path*, which may be missing; a symbolic link stays a link."""
        self._path = path
        self._target = path.resolve()
        self._work = self._target.parent / f".{self._target.name}.work"
        self._copy = self._work / path.name
        self._base = self._work / "base.json"
        self._lock: Lock | None = None
        self._read: tuple[list[int], Publication | None] | None = None

    def publication(self) -> Publication | None:
        """The publication in the published file, or None.

        Raises:
            BusyError: another process writes to the file.
            SinkError: the file is damaged, or materia did not make it.
        """
        state = self._fingerprint()
        if state is None:
            return None
        with opened(self._target, read_only=True, shown=self._path, remedy=REMEDY) as connection:
            found = publication.read(connection, self._path, remedy=REMEDY)
        self._read = state, found
        return found

    def published(self) -> Path | None:
        """The path of the published file, or None; raises as `publication`."""
        return self._path if self._known_publication() else None

    def checkout(self) -> Path:
        """Make the working copy; the sink holds the lock until `publish` or until it is gone.

        Raises:
            BusyError: another materia is running, or another process writes to the file.
            SinkError: the file cannot be read or copied.
        """
        with naming(self._path):
            self._take_lock()
            self._fold()
            durable.sweep(self._work)
            with self._held():
                if self._continues():
                    return self._copy
                self._base.unlink(missing_ok=True)
                remove(self._copy)
                base = self._fingerprint()
                if base is not None:
                    durable.copy(self._target, self._copy)
                else:
                    with opened(self._copy, read_only=False, remedy=REMEDY):
                        pass
            durable.write(self._base, json.dumps(base))
            return self._copy

    def publish(self, request: PublishRequest) -> tuple[Table, ...]:
        """Swap the working copy in; when this raises, the published file is unchanged.

        Order: write the publication into the working copy, close it and sync it to the disk, read
        it again to verify it, then rename it to the published file.

        Raises:
            BusyError: another process has the published file open, or has changed it.
            SinkError: a table is missing, or the disk is full.
        """
        with naming(self._path):
            self._take_lock()
            published = self._known_publication()
            if published is not None and published.run == request.run:
                self._finish()
                return published.tables
            if not self._copy.exists() or not request.database.samefile(self._copy):
                raise SinkError(
                    f"{request.database}: is not the working copy of {self._path}; run again"
                )
            self._refuse_changed()
            with opened(self._copy, read_only=False, remedy=REMEDY) as connection:
                tables = publication.write(connection, request)
                connection.execute("CHECKPOINT")
            # Another connection of this process would keep DuckDB's lock on the published file.
            with opened(self._copy, read_only=True, remedy=REMEDY) as connection:
                publication.read(connection, self._copy, remedy=REMEDY)
            durable.sync(self._copy)
            self._swap()
            self._finish()
            return tables

    def _known_publication(self) -> Publication | None:
        """The publication; opens the file only when it has changed since the last read."""
        if self._read is not None and self._read[0] == self._fingerprint():
            return self._read[1]
        return self.publication()

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the published file open for reading, so that no other process can write to it."""
        if self._target.exists():
            with opened(self._target, read_only=True, shown=self._path, remedy=REMEDY):
                yield
        else:
            yield

    def _swap(self) -> None:
        # Closing another descriptor of the published file here would release DuckDB's lock.
        with self._held():
            self._refuse_changed()
            self._copy.replace(self._target)
        durable.sync(self._target.parent)

    def _take_lock(self) -> None:
        if self._lock is None:
            self._work.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self._work / "lock", what=str(self._path))

    def _finish(self) -> None:
        self._base.unlink(missing_ok=True)
        remove(self._copy)
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _fold(self) -> None:
        """Check the published file, and apply the write-ahead log of a killed writer."""
        self._known_publication()
        if not self._target.exists():
            log(self._target).unlink(missing_ok=True)  # the log of a deleted database
        elif log(self._target).exists():
            with opened(
                self._target, read_only=False, shown=self._path, remedy=REMEDY
            ) as connection:
                connection.execute("CHECKPOINT")

    def _continues(self) -> bool:
        """Whether a usable copy exists that starts from the published state."""
        if not self._copy.exists() or self._remembered() != self._fingerprint():
            return False
        try:
            with opened(self._copy, read_only=False, remedy=REMEDY):
                return True
        except SinkError:
            return False

    def _remembered(self) -> object:
        try:
            return json.loads(self._base.read_bytes())
        except (FileNotFoundError, ValueError):
            return "nothing"

    def _fingerprint(self) -> list[int] | None:
        """A value that changes when any process writes to the published file or replaces it."""
        try:
            status = self._target.stat()
        except FileNotFoundError:
            return None
        unfolded = log(self._target)
        written = unfolded.stat().st_size if unfolded.exists() else 0
        return [status.st_ino, status.st_size, status.st_mtime_ns, written]

    def _refuse_changed(self) -> None:
        if self._remembered() != self._fingerprint():
            raise BusyError(
                f"{self._path}: another program changed it since this run began; nothing is "
                "published. Run again to start from its new state"
            )
