"""Atomic publish: build in a private working copy, then swap it for the published database.

materia.duckdb                         the published database; only the swap changes it
.materia.duckdb.work/                  the lock and the working copy (`materia_store.folder`)
.materia.duckdb.work/published.json    the fingerprint of the publication, to read without DuckDB
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from materia_store import atomic_files as durable
from materia_store import publication
from materia_store.connection import log, naming, opened
from materia_store.folder.working_copy import WorkingCopy
from materia_store.publication import Publication

if TYPE_CHECKING:
    from materia.data import PublishRequest, Table

REMEDY = f"{publication.REMEDY}, or name another file as sinks.duckdb.path in materia.toml"

LOCKS = Path("/proc/locks")


class Database:
    """One published DuckDB file, replaced atomically."""

    def __init__(self, path: Path) -> None:
        """Publish to *path*, which may be missing; a symbolic link stays a link."""
        self._path = path
        self._target = path.resolve()
        work = self._target.parent / f".{self._target.name}.work"
        self._work = WorkingCopy(work, path.name, shown=path, remedy=REMEDY)
        self._note = work / "published.json"
        self._read: tuple[list[int], Publication | None] | None = None

    def publication(self) -> Publication | None:
        """The publication in the published file, or None.

        Raises:
            BusyError: another process writes to the file.
            SinkError: the file is damaged, or materia did not make it.
        """
        state = self._state()
        if state is None:
            return None
        with opened(self._target, read_only=True, shown=self._path, remedy=REMEDY) as connection:
            found = publication.read(connection, self._path, remedy=REMEDY)
        self._read = state, found
        return found

    def fingerprint(self) -> str | None:
        """The fingerprint of the publication, or None; raises as `publication`.

        It does not open the file, nor import DuckDB, when no process has written to the file since
        this computer published it, and none has it open to write.
        """
        state = self._state()
        noted = None if state is None else self._noted(state)
        if state is not None and noted is not None and not _is_held(inode=state[0]):
            return noted
        found = self.publication()
        return found.fingerprint if found else None

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
            self._work.take_lock()
            self._fold()
            with self._held():
                state = self._state()
                return self._work.start(state, None if state is None else self._target)

    def publish(self, request: PublishRequest) -> tuple[Table, ...]:
        """Swap the working copy in; when this raises, the published file is unchanged.

        Order: write the publication into the working copy, close it and sync it to the disk, read
        it again to verify it, then rename it to the published file.

        Raises:
            BusyError: another process has the published file open, or has changed it.
            SinkError: a table is missing, or the disk is full.
        """
        with naming(self._path):
            self._work.take_lock()
            published = self._known_publication()
            if published is not None and published.run == request.run:
                self._work.finish()
                return published.tables
            self._work.refuse_changed(self._state())
            # No connection of this process is open when it returns: DuckDB's lock stays ours.
            tables = self._work.seal(request)
            self._swap()
            self._take_note(request.fingerprint)
            self._work.finish()
            return tables

    def _known_publication(self) -> Publication | None:
        """The publication; opens the file only when it has changed since the last read."""
        if self._read is not None and self._read[0] == self._state():
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
            self._work.refuse_changed(self._state())
            self._work.path.replace(self._target)
        durable.sync(self._target.parent)

    def _take_note(self, fingerprint: str) -> None:
        note = {"state": self._state(), "fingerprint": fingerprint}
        with suppress(OSError):  # the tables are published, and can be asked instead
            durable.write(self._note, json.dumps(note))

    def _noted(self, state: list[int]) -> str | None:
        """The fingerprint that was noted of the published file in this *state*, or None."""
        try:
            note = json.loads(self._note.read_bytes())
            noted = note["fingerprint"] if note["state"] == state else None
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return noted if isinstance(noted, str) else None

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

    def _state(self) -> list[int] | None:
        """A value that changes when any process writes to the published file or replaces it."""
        try:
            status = self._target.stat()
        except FileNotFoundError:
            return None
        unfolded = log(self._target)
        written = unfolded.stat().st_size if unfolded.exists() else 0
        return [status.st_ino, status.st_size, status.st_mtime_ns, written]


def _is_held(*, inode: int) -> bool:
    """Whether a process may have a file of that number open to write, as Linux lists its locks.

    To open the file here and ask for the lock would release this process's own, when closed.
    """
    try:
        locks = LOCKS.read_text()
    except OSError:
        return False
    # 1: POSIX  ADVISORY  WRITE 4711 fd:00:14680079 0 EOF
    return any(
        "WRITE" in line and line.split()[-3].rpartition(":")[2] == str(inode)
        for line in locks.splitlines()
    )
