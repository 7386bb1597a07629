"""The published database, its private working copy, and the swap of one for the other.

materia.duckdb                         what is published; changed by nothing but the swap
.materia.duckdb.work/lock              one materia at a time
.materia.duckdb.work/materia.duckdb    the working copy
.materia.duckdb.work/base.json         which state of the published file the copy starts from

Views hold the name of their database, which DuckDB takes from the file's: so both are the same.
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
    """One DuckDB file, replaced whole."""

    def __init__(self, path: Path) -> None:
        """Publish to *path*, which need not exist yet; a link stays a link."""
        self._path = path
        self._target = path.resolve()
        self._work = self._target.parent / f".{self._target.name}.work"
        self._copy = self._work / path.name
        self._base = self._work / "base.json"
        self._lock: Lock | None = None
        self._read: tuple[list[int], Publication | None] | None = None

    def publication(self) -> Publication | None:
        """What is published, or None.

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
        """The published file; raises as `publication`."""
        return self._path if self._known_publication() else None

    def checkout(self) -> Path:
        """The working copy; the lock is held until `publish`, or until the sink is gone.

        Raises:
            BusyError: another materia is at work, or another process writes to the file.
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
        """Swap the working copy in; what was published stays as it is when this raises.

        The order: the working copy says what it is, is closed and forced to the disk, is read once
        more, then takes the name of the published file in one step.

        Raises:
            BusyError: the published file is held, or has changed since `checkout`.
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
            # Another connection of this process would keep its lock on the published file.
            with opened(self._copy, read_only=True, remedy=REMEDY) as connection:
                publication.read(connection, self._copy, remedy=REMEDY)
            durable.sync(self._copy)
            self._swap()
            self._finish()
            return tables

    def _known_publication(self) -> Publication | None:
        """As `publication`; the file is opened only when it is not as it was when it was read."""
        if self._read is not None and self._read[0] == self._fingerprint():
            return self._read[1]
        return self.publication()

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Keep what is published open to read: a writer that came now would lose what it writes."""
        if self._target.exists():
            with opened(self._target, read_only=True, shown=self._path, remedy=REMEDY):
                yield
        else:
            yield

    def _swap(self) -> None:
        # No other descriptor of the published file may be closed here: DuckDB's lock would go too.
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
        """Check the published file, and write a log that a killed writer left into it."""
        self._known_publication()
        if not self._target.exists():
            log(self._target).unlink(missing_ok=True)  # of a database that was deleted
        elif log(self._target).exists():
            with opened(
                self._target, read_only=False, shown=self._path, remedy=REMEDY
            ) as connection:
                connection.execute("CHECKPOINT")

    def _continues(self) -> bool:
        """Whether there is a usable copy that starts from what is published."""
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
        """Changes whenever somebody writes to the published file, or replaces it."""
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
                f"{self._path}: somebody changed it since this run began, and it was left as it "
                "is; run again to start from what it holds now"
            )
