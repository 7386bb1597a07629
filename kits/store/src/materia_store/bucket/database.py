"""Publish to a bucket by compare-and-swap: upload the working copy, then swap the pointer.

    databases/<sha256>/materia.duckdb          in the bucket: an immutable database
    .materia.s3/acme-0a1b2c3d/lock             local lock: one materia at a time in this folder
    .materia.s3/acme-0a1b2c3d/work/materia.duckdb   the working copy
    .materia.s3/acme-0a1b2c3d/work/base.json   the version of the pointer that the copy starts from

The sink decides where the pointer to the published database is kept: in an object, or in a table of
a catalog.

Views contain the name of their database, which DuckDB takes from the file name: so all files have
the same name, also with the sink `duckdb`.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from materia.data import PublishedState, PublishRequest, Table
from materia.errors import BusyError, MateriaError, SinkError
from materia.kit.files import sha256_of

from materia_store import atomic_files as durable
from materia_store import publication
from materia_store.bucket.cache import Cache
from materia_store.bucket.objects import Objects
from materia_store.bucket.pointer import (
    DATABASES,
    KEPT,
    Pointer,
    Published,
    database_name,
    expendable,
    history,
    in_order,
    sha256_in,
)
from materia_store.connection import naming, opened, remove
from materia_store.file_lock import Lock
from materia_store.views import refuse_reaching_out

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = [
    "Database",
]

FILE = "materia.duckdb"
OURS = re.compile(rf"{DATABASES}/[0-9a-f]{{64}}/{re.escape(FILE)}")
REMEDY = "run again with the version of DuckDB that wrote it, or a newer one"


class Database:
    """One published DuckDB file, replaced atomically."""

    def __init__(
        self, objects: Objects, cache: Cache, pointer: Published, *, kept: int = KEPT
    ) -> None:
        """Publish to *objects*; *cache* has local copies and the working copy.

        The last *kept* publications can be read and restored.
        """
        self._kept = kept
        self._objects = objects
        self._cache = cache
        self._pointer = pointer
        self._where = pointer.where
        # A run reports them as its warnings.
        self._warnings = logging.getLogger(f"materia.{objects.address.table}")
        self._work = cache.folder / "work"
        self._copy = self._work / FILE
        self._base = self._work / "base.json"
        self._lock: Lock | None = None
        self._looked_at: set[str] = set()

    def pointer(self) -> Pointer | None:
        """The pointer to the published database, or None; one small request.

        While a publication in several steps is unfinished, the fingerprint is that of no build:
        if its run was killed, the next run publishes all tables again.

        Raises:
            SinkError: the pointer is damaged, or the store cannot be reached.
        """
        pointer = self._pointer.read()[0]
        if pointer is None or pointer.begun is None:
            return pointer
        unfinished = f"{pointer.fingerprint} (unfinished: {pointer.begun})"
        return replace(pointer, fingerprint=unfinished)

    def published(self) -> Path | None:
        """A read-only local copy of the published database; downloaded if missing.

        Raises:
            SinkError: it is damaged, a view reads other sources, the store cannot be reached, or
                the disk is full.
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
                self._look_at(path, pointer.object)
                return self._cache.asked_for(path)
        raise self._missing(pointer.object if pointer else DATABASES)

    def checkout(self) -> Path:
        """Make the working copy; the sink holds the lock until `publish` or until it is gone.

        Raises:
            BusyError: another materia uses this cache folder.
            SinkError: the database is damaged, a view reads other sources, the store cannot be
                reached, or the disk is full.
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
                    raise self._missing(pointer.object)
                self._look_at(path, pointer.object)
                durable.copy(self._cache.asked_for(path), self._copy)
                self._copy.chmod(0o644)
            durable.write(self._base, json.dumps(etag))
            return self._copy

    def publish(self, request: PublishRequest) -> tuple[Table, ...]:
        """Publish the working copy; when this raises, the published database is unchanged.

        Order: prepare the swap, write the publication into the working copy, close it, read it
        again to verify it, upload it under its hash, then swap the pointer if it is unchanged: the
        swap fails if another run has published since `checkout`.

        Raises:
            BusyError: another run has published since `checkout`.
            SinkError: a table is missing, the disk is full, or a write to the store failed.
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
            with self._open(read_only=True) as connection:
                publication.check(connection, request)
            with self._pointer.prepared(
                self._copy, run=request.run, tables=request.tables
            ) as counted:
                with self._open(read_only=False) as connection:
                    tables = publication.write(connection, request, rows=counted)
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

    def publications(self) -> tuple[PublishedState, ...]:
        """The publications that can be read and restored, newest first; one small request.

        Raises:
            SinkError: the pointer is damaged, or the store cannot be reached.
        """
        url = self._objects.address.url
        return tuple(replace(one, place=url(name)) for name, one in in_order(self.pointer()))

    def published_by(self, run: str) -> Path:
        """A read-only local copy of the database that *run* published; downloaded if missing.

        Raises:
            SinkError: the run is not among `publications`; or as `published`.
        """
        with naming(self._cache.folder):
            name, _ = self._found(self.pointer(), run)
            return self._cache.asked_for(self._fetched(name))

    def roll_back(self, to: str, *, run: str) -> None:
        """Publish the database of the run *to* once more, in the name of *run*.

        The fingerprint stays that of the last build: a run that finds nothing new leaves the
        rollback in force, and the next build starts from the restored database.

        Raises:
            BusyError: another materia uses this cache folder, or another run publishes.
            SinkError: the run is not among `publications`, or the store cannot be reached.
        """
        with naming(self._cache.folder):
            self._take_lock()
            try:
                before, version = self._pointer.read()
                if before is None:
                    raise SinkError(f"{self._where}: nothing is published yet; run `materia run`")
                if before.run == run:
                    return
                name, found = self._found(before, to)
                path = self._fetched(name)
                with opened(path, read_only=True, remedy=REMEDY) as connection:
                    said = publication.read(connection, path, remedy=REMEDY)
                if said is None:
                    raise SinkError(
                        f"{self._objects.address.url(name)}: has no tables; choose another run"
                    )
                there = self._objects.ask(name)
                if there is None or there.size != path.stat().st_size:
                    self._objects.upload(name, path)  # only this machine still had it
                now = datetime.now(UTC)
                new = Pointer(
                    run=run,
                    fingerprint=before.fingerprint,
                    published_at=now,
                    object=name,
                    sha256=sha256_in(name),
                    size=found.size,
                    tables=said.tables,
                    earlier=history(before, now=now, kept=self._kept),
                    restores=found.restores or found.run,
                )
                if not self._pointer.swap(new, path, expected=version):
                    raise self._overtaken(self.pointer())
                self._clear(new)
            finally:
                self._give_lock()

    def _found(self, pointer: Pointer | None, run: str) -> tuple[str, PublishedState]:
        """The object name and the description of the publication of *run*."""
        kept = in_order(pointer)
        for name, one in kept:
            if one.run == run:
                return name, one
        runs = ", ".join(one.run for _, one in kept) or "none"
        raise SinkError(
            f"{self._where}: has no publication of the run {run!r} any more, or never had one; "
            f"kept are: {runs}"
        )

    def _fetched(self, name: str) -> Path:
        path = self._cache.fetch(name, sha256_in(name))
        if path is None:
            raise SinkError(
                f"{self._objects.address.url(name)}: is missing, so it can be neither read nor "
                "restored; choose another run"
            )
        self._look_at(path, name)
        return path

    def _look_at(self, path: Path, name: str) -> None:
        """Refuse a database with views that read other sources: any writer can make one."""
        if name in self._looked_at:
            return
        remedy = (
            f"materia ran no query on it; delete {self._where}, and the next run builds it from "
            "the raw files"
        )
        with opened(path, read_only=True, remedy=REMEDY) as connection:
            where = self._objects.address.url(name)
            refuse_reaching_out(connection, where, remedy=remedy)
        self._looked_at.add(name)

    def _upload(
        self, request: PublishRequest, tables: tuple[Table, ...], before: Pointer | None
    ) -> Pointer:
        sha256 = sha256_of(self._copy)
        name = database_name(sha256, FILE)
        # Upload it even if it exists: then it is too new for the cleanup.
        self._objects.upload(name, self._copy)
        now = datetime.now(UTC)
        return Pointer(
            run=request.run,
            fingerprint=request.fingerprint,
            published_at=now,
            object=name,
            sha256=sha256,
            size=self._copy.stat().st_size,
            tables=tables,
            earlier=history(before, now=now, kept=self._kept),
        )

    def _clear(self, published: Pointer) -> None:
        """Delete databases that no reader uses; a failure is only a warning."""
        try:
            listed = self._objects.listed(DATABASES)
            ours = {name: found for name, found in listed.items() if OURS.fullmatch(name)}
            # A listing may have a wrong age: check each object before its deletion.
            asked = {name: self._objects.ask(name) for name in expendable(published, ours)}
            there = {name: found for name, found in asked.items() if found is not None}
            left = self._objects.delete(expendable(published, there))
        except MateriaError as error:
            self._warnings.warning(
                "cannot delete old databases; they use storage until a later run deletes them: %s",
                error,
            )
            return
        if left:
            name, reason = next(iter(left.items()))
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            self._warnings.warning(
                "%s%s: cannot delete this unused object; it uses storage until a later run or "
                "you delete it: %s",
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
        """Whether a usable copy exists that starts from the published state."""
        if not self._copy.exists() or self._remembered() != [etag]:
            return False
        try:
            with self._open(read_only=False):
                return True
        except SinkError:
            return False

    def _remembered(self) -> list[str | None]:
        """The ETag that the copy starts from; None: nothing was published, empty: no copy."""
        try:
            return [json.loads(self._base.read_bytes())]
        except (FileNotFoundError, ValueError):
            return []

    def _overtaken(self, pointer: Pointer | None) -> BusyError:
        by = f"the run {pointer.run!r} has published" if pointer else "it was deleted"
        return BusyError(
            f"{self._where}: {by} since this run began; this run published nothing. Run again to "
            "start from the new state"
        )

    def _missing(self, name: str) -> SinkError:
        return SinkError(
            f"{self._objects.address.url(name)}: is missing, though {self._pointer.name} names "
            f"it; delete {self._where}, and the next run builds it anew from the raw files"
        )

    @contextmanager
    def _open(self, *, read_only: bool) -> Iterator[DuckDBPyConnection]:
        with opened(self._copy, read_only=read_only, remedy=REMEDY) as connection:
            yield connection
