"""The published database, its private working copy, and the swap that publishes the copy.

    databases/<sha256>/materia.duckdb          in the bucket: a database, never changed
    .materia.s3/acme-0a1b2c3d/lock             here: one materia at a time in this folder
    .materia.s3/acme-0a1b2c3d/work/materia.duckdb   the working copy
    .materia.s3/acme-0a1b2c3d/work/base.json   which state of the pointer the copy starts from

Which database is published is told by a pointer, and the sink says where that is kept: an object of
its own, or a table of a catalog.

Views hold the name of their database, which DuckDB takes from the file's: so all are the same, and
the same as with the sink `duckdb`.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from materia.data import PublishRequest, Table
from materia.errors import BusyError, MateriaError, SinkError

from materia_store import atomic_files as durable
from materia_store import publication
from materia_store.bucket.cache import Cache, sha256_of
from materia_store.bucket.objects import Objects
from materia_store.bucket.pointer import (
    DATABASES,
    Pointer,
    database_name,
    expendable,
    history,
)
from materia_store.connection import naming, opened, remove
from materia_store.file_lock import Lock
from materia_store.views import refuse_reaching_out

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FILE = "materia.duckdb"
OURS = re.compile(rf"{DATABASES}/[0-9a-f]{{64}}/{re.escape(FILE)}")
REMEDY = "run again with the version of DuckDB that wrote it, or a newer one"


class Published(Protocol):
    """Where the pointer is kept.

    Attributes:
        name: What it is called.
        where: The same, with all that it takes to find and delete it.
    """

    name: str
    where: str

    def read(self) -> tuple[Pointer | None, str | None]:
        """What is published, or None, and a text that changes whenever that does.

        Raises:
            SinkError: the pointer is damaged, or cannot be asked for.
        """
        ...

    def swap(self, new: Pointer, database: Path, *, expected: str | None) -> bool:
        """Name *new*, of which *database* is a copy, if what `read` told is still *expected*.

        False when somebody was faster: then it is as they left it. A lost answer is asked for
        again.

        Raises:
            BusyError: somebody was faster, in another way that has words of its own.
            SinkError: it cannot be written.
        """
        ...


class Database:
    """One published DuckDB file, replaced whole."""

    def __init__(self, objects: Objects, cache: Cache, pointer: Published) -> None:
        """Publish among *objects*; *cache* has copies, and the working copy."""
        self._objects = objects
        self._cache = cache
        self._pointer = pointer
        self._where = pointer.where
        # They are warnings of the run.
        self._warnings = logging.getLogger(f"materia.{objects.address.table}")
        self._work = cache.folder / "work"
        self._copy = self._work / FILE
        self._base = self._work / "base.json"
        self._lock: Lock | None = None
        self._looked_at: set[str] = set()

    def pointer(self) -> Pointer | None:
        """What is published, or None; one small request.

        Raises:
            SinkError: the pointer is damaged, or the store cannot be asked.
        """
        return self._pointer.read()[0]

    def published(self) -> Path | None:
        """A copy of the published database, to read only; it is downloaded when it is not here.

        Raises:
            SinkError: it is damaged or reaches out of itself, the store cannot be asked, or the
                disk is full.
        """
        with naming(self._cache.folder):
            for _ in range(2):
                pointer = self.pointer()
                if pointer is None:
                    return None
                path = self._cache.path(pointer.object)
                if not path.is_file() or path.stat().st_size != pointer.size:
                    fetched = self._cache.fetch(pointer.object, pointer.sha256)
                    if fetched is None:
                        continue  # removed since: a day has passed between two requests
                    path = fetched
                self._look_at(path, pointer)
                return self._cache.asked_for(path)
        raise self._missing(pointer)

    def checkout(self) -> Path:
        """The working copy; the lock is held until `publish`, or until the sink is gone.

        Raises:
            BusyError: another materia is at work in this cache folder.
            SinkError: the database is damaged or reaches out of itself, the store cannot be asked,
                or the disk is full.
        """
        with naming(self._cache.folder):
            self._take_lock()
            pointer, etag = self._pointer.read()
            self._cache.tidy(DATABASES, keep=pointer.object if pointer else DATABASES)
            durable.sweep(self._work)
            if self._continues(etag):
                return self._copy
            self._base.unlink(missing_ok=True)
            remove(self._copy)
            if pointer is None:
                with self._open(read_only=False):
                    pass
            else:
                path = self._cache.fetch(pointer.object, pointer.sha256)
                if path is None:
                    raise self._missing(pointer)
                self._look_at(path, pointer)
                durable.copy(self._cache.asked_for(path), self._copy)
                self._copy.chmod(0o644)
            durable.write(self._base, json.dumps(etag))
            return self._copy

    def publish(self, request: PublishRequest) -> tuple[Table, ...]:
        """Publish the working copy; what was published stays as it is when this raises.

        The order: the working copy says what it is, is closed and read once more, is uploaded under
        the name of its content, and then the pointer is swapped to name it, on condition that it
        is still the one this copy started from.

        Raises:
            BusyError: something else was published since `checkout`.
            SinkError: a table is missing, the disk is full, or the store cannot be written to.
        """
        with naming(self._cache.folder):
            self._take_lock()
            before, etag = self._pointer.read()
            if before is not None and before.run == request.run:
                self._finish()
                return before.tables
            if not self._copy.exists() or not request.database.samefile(self._copy):
                raise SinkError(f"{request.database}: is not the working copy; run again")
            if self._remembered() != [etag]:
                self._give_lock()
                raise self._overtaken(before)
            with self._open(read_only=False) as connection:
                tables = publication.write(connection, request)
                connection.execute("CHECKPOINT")
            with self._open(read_only=True) as connection:
                publication.read(connection, self._copy)
            new = self._upload(request, tables, before)
            try:
                swapped = self._pointer.swap(new, self._copy, expected=etag)
            except BusyError:
                self._give_lock()
                raise
            if not swapped:
                self._give_lock()
                raise self._overtaken(self.pointer())
            self._cache.offer(self._copy, new.object)
            self._finish()
            self._clear(new)
            return tables

    def _look_at(self, path: Path, pointer: Pointer) -> None:
        """Refuse a database whose views read more than itself: who wrote to the bucket made it."""
        if pointer.object in self._looked_at:
            return
        remedy = (
            f"no query was made of it; delete {self._where}, and the next run builds it anew from "
            "the raw files"
        )
        with opened(path, read_only=True, remedy=REMEDY) as connection:
            where = self._objects.address.url(pointer.object)
            refuse_reaching_out(connection, where, remedy=remedy)
        self._looked_at.add(pointer.object)

    def _upload(
        self, request: PublishRequest, tables: tuple[Table, ...], before: Pointer | None
    ) -> Pointer:
        sha256 = sha256_of(self._copy)
        name = database_name(sha256, FILE)
        # Also when it is there already: from now on it is too young to be removed.
        self._objects.upload(name, self._copy)
        now = datetime.now(UTC)
        return Pointer(
            run=request.run,
            stamp=request.stamp,
            published_at=now,
            object=name,
            sha256=sha256,
            size=self._copy.stat().st_size,
            tables=tables,
            earlier=history(before, now=now),
        )

    def _clear(self, published: Pointer) -> None:
        """Remove databases nobody reads any more; what fails is only told, and tried next time."""
        try:
            listed = self._objects.listed(DATABASES)
            ours = {name: found for name, found in listed.items() if OURS.fullmatch(name)}
            # A listing may be wrong about their age: each is looked at before it goes.
            asked = {name: self._objects.ask(name) for name in expendable(published, ours)}
            there = {name: found for name, found in asked.items() if found is not None}
            left = self._objects.delete(expendable(published, there))
        except MateriaError as error:
            self._warnings.warning(
                "old databases were not cleared away, and take room until a run can: %s", error
            )
            return
        if left:
            name, reason = next(iter(left.items()))
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            self._warnings.warning(
                "%s%s: nobody reads this any more, and it takes room until it is deleted, by a "
                "later run or by hand: %s",
                self._objects.address.url(name),
                more,
                reason,
            )

    def _take_lock(self) -> None:
        if self._lock is None:
            self._work.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self._cache.folder / "lock", what=str(self._cache.folder))

    def _give_lock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _finish(self) -> None:
        self._base.unlink(missing_ok=True)
        remove(self._copy)
        self._give_lock()

    def _continues(self, etag: str | None) -> bool:
        """Whether there is a usable copy that starts from what is published."""
        if not self._copy.exists() or self._remembered() != [etag]:
            return False
        try:
            with self._open(read_only=False):
                return True
        except SinkError:
            return False

    def _remembered(self) -> list[str | None]:
        """The ETag that the copy starts from, None for nothing published; empty without a copy."""
        try:
            return [json.loads(self._base.read_bytes())]
        except (FileNotFoundError, ValueError):
            return []

    def _overtaken(self, pointer: Pointer | None) -> BusyError:
        by = (
            f"the run {pointer.run!r} has published"
            if pointer
            else "what was published was removed"
        )
        return BusyError(
            f"{self._where}: {by} since this run began, and that was left as it is; run again to "
            "start from what it holds now"
        )

    def _missing(self, pointer: Pointer | None) -> SinkError:
        name = pointer.object if pointer else DATABASES
        return SinkError(
            f"{self._objects.address.url(name)}: is not there, though {self._pointer.name} names "
            f"it; delete {self._where}, and the next run builds it anew from the raw files"
        )

    @contextmanager
    def _open(self, *, read_only: bool) -> Iterator[DuckDBPyConnection]:
        with opened(self._copy, read_only=read_only, remedy=REMEDY) as connection:
            yield connection
