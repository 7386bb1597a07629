"""Working copy of a published DuckDB file: locked, resumed after a kill, checked before publish.

work/lock              lock: one materia at a time
work/acme.duckdb       the working copy
work/base.json         the published state that the copy starts from

Views contain the name of their database, which DuckDB takes from the file name: so the working copy
and the published file must have the same name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from materia.errors import BusyError, SinkError

from materia_store import atomic_files as durable
from materia_store import publication
from materia_store.connection import opened, remove
from materia_store.file_lock import Lock

if TYPE_CHECKING:
    from materia.data import PublishRequest, Table

__all__ = ["WorkingCopy"]


class WorkingCopy:
    """The private copy that a run builds its tables in.

    A *state* is any JSON value that changes with each publication; None when nothing is published.
    """

    def __init__(self, folder: Path, name: str, *, shown: Path, remedy: str) -> None:
        """Keep the copy *name* in *folder*, which may be missing.

        Messages call the published tables *shown*, and end with *remedy* when a file is damaged.
        """
        self._folder = folder
        self._base = folder / "base.json"
        self._shown = shown
        self._remedy = remedy
        self._lock: Lock | None = None
        self.path = folder / name

    def take_lock(self) -> None:
        """Hold the lock until `finish`, or until this object is gone; a second call keeps it.

        Raises:
            BusyError: another process holds it; the message names the process.
        """
        if self._lock is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self._folder / "lock", what=str(self._shown))

    def start(self, state: object, published: Path | None) -> Path:
        """The path of the copy: the one that a killed run left, or a new one of *published*.

        A copy is continued when it still starts from *state*. The caller holds the lock.
        """
        durable.sweep(self._folder)
        if self._continues(state):
            return self.path
        self._base.unlink(missing_ok=True)
        remove(self.path)
        if published is not None:
            durable.copy(published, self.path)
        else:
            with opened(self.path, read_only=False, remedy=self._remedy):
                pass
        durable.write(self._base, json.dumps(state))
        return self.path

    def refuse_changed(self, state: object) -> None:
        """Raise BusyError when what is published now, *state*, is not what the copy starts from."""
        if self._remembered() != state:
            raise BusyError(
                f"{self._shown}: another program changed it since this run began; nothing is "
                "published. Run again to start from its new state"
            )

    def seal(self, request: PublishRequest) -> tuple[Table, ...]:
        """Write the publication into the copy, check it, and sync it to the disk.

        Raises:
            SinkError: the database of *request* is not this copy, a table is missing, a view reads
                something outside the database, or the disk is full.
        """
        if not self.path.exists() or not request.database.samefile(self.path):
            raise SinkError(
                f"{request.database}: is not the working copy of {self._shown}; run again"
            )
        with opened(self.path, read_only=False, remedy=self._remedy) as connection:
            tables = publication.write(connection, request)
            connection.execute("CHECKPOINT")
        with opened(self.path, read_only=True, remedy=self._remedy) as connection:
            publication.read(connection, self.path, remedy=self._remedy)
        durable.sync(self.path)
        return tables

    def finish(self) -> None:
        """Remove what is left of the copy, and release the lock."""
        self._base.unlink(missing_ok=True)
        remove(self.path)
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _continues(self, state: object) -> bool:
        """Whether a usable copy exists that starts from *state*."""
        if not self.path.exists() or self._remembered() != state:
            return False
        try:
            with opened(self.path, read_only=False, remedy=self._remedy):
                return True
        except SinkError:
            return False

    def _remembered(self) -> object:
        try:
            return json.loads(self._base.read_bytes())
        except (FileNotFoundError, ValueError):
            return "nothing is remembered"
