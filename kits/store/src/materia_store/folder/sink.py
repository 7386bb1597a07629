"""Base class of a sink in a folder: raw files, a lock, a folder for each run, an atomic swap.

<folder>/raw/...                       raw files and quarantine
<folder>/work/...                      the working copy and the lock
<folder>/runs/<run>/materia.duckdb     what a run published, beside it the files of the sink itself
<folder>/current                       a symbolic link to the newest run: the swap that readers see

A reader that opens several files resolves `current` once, so that all are of one run. The run
before the newest stays for such readers.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from materia.data import FetchResult, Known, Partition, PublishRequest, RawFile, Table

from materia_store import atomic_files as durable
from materia_store import publication
from materia_store.connection import naming, opened
from materia_store.folder.raw_files import RawFiles
from materia_store.folder.working_copy import WorkingCopy
from materia_store.known_partitions import name

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from materia_store.publication import Publication

__all__ = ["FolderSink"]

DATABASE = "materia.duckdb"
log = logging.getLogger("materia.sinks.folder")


class FolderSink:
    """The methods of `materia.protocols.Sink` over a folder.

    A sink subclasses it and writes its own files in `export`; without that it publishes a DuckDB
    file for each run.
    """

    def __init__(self, folder: Path, *, setting: str) -> None:
        """Keep everything under *folder*, which may be missing.

        *setting* is the key in materia.toml that names the folder, for messages.
        """
        self._folder = folder
        self._current = folder / "current"
        self._runs = folder / "runs"
        self._remedy = f"{publication.REMEDY}, or name another folder as {setting} in materia.toml"
        self._raw = RawFiles(folder / "raw", setting=setting)
        self._work = WorkingCopy(folder / "work", DATABASE, shown=folder, remedy=self._remedy)

    def export(
        self, connection: DuckDBPyConnection, tables: Sequence[Table], folder: Path, /
    ) -> None:
        """Write the files of the sink's own format; readers see them after the swap.

        The tables are complete and their views are checked. *connection* reads the database, and
        can write files into *folder* and nowhere else. An exception publishes nothing. The run that
        was killed here does it again in an empty folder.
        """

    def known(self, source: str, /) -> Mapping[str, Known]:
        """The records of a source by partition key."""
        return self._raw.known(source)

    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        """Keep the file of a fetch, then record its result in `known.json`."""
        self._raw.record(source, partition, result)

    def refuse(self, source: str, raw: RawFile, reason: str, /) -> None:
        """Move a file that could not be loaded to quarantine."""
        self._raw.refuse(source, raw, reason)

    def find_raw(self, source: str, partition: str, file: str, sha256: str, /) -> Path | None:
        """The path of a raw file, or None."""
        return self._raw.find(source, partition, file, sha256)

    def fingerprint(self) -> str | None:
        """The fingerprint in the published database, or None."""
        found = self._publication()
        return found.fingerprint if found else None

    def published(self) -> Path | None:
        """The path of the published database, or None; it stays for one more publication."""
        found = self._state()
        return None if found is None else self._runs / found / DATABASE

    def checkout(self) -> Path:
        """Lock the sink and make the private working copy."""
        with naming(self._folder):
            self._work.take_lock()
            return self._work.start(self._state(), self.published())

    def publish(self, request: PublishRequest, /) -> Sequence[Table]:
        """Publish a folder for the run, by one swap of the link `current`."""
        with naming(self._folder):
            self._work.take_lock()
            published = self._publication()
            if published is None or published.run != request.run:
                before = self._state()
                self._work.refuse_changed(before)
                tables = self._work.seal(request)
                folder = self._runs / name(request.run)
                self._fill(folder, tables)
                self._swap(folder)
                self._drop_all_but({folder.name, before})
            else:
                tables = published.tables
            self._work.finish()
            return tables

    def _fill(self, folder: Path, tables: tuple[Table, ...]) -> None:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)  # of a killed attempt; a run that is published never comes here
        folder.mkdir(parents=True)
        with opened(
            self._work.path, read_only=True, remedy=self._remedy, writes_to=folder
        ) as connection:
            self.export(connection, tables, folder)
        durable.link(self._work.path, folder / DATABASE)
        for path, _, files in os.walk(folder):
            for file in files:
                durable.sync(Path(path) / file)
            durable.sync(Path(path))
        durable.sync(self._runs)

    def _swap(self, folder: Path) -> None:
        link = self._folder / "current.new"
        link.unlink(missing_ok=True)
        link.symlink_to(folder.relative_to(self._folder))
        link.replace(self._current)
        durable.sync(self._folder)

    def _drop_all_but(self, kept: set[str | None]) -> None:
        for folder in self._runs.iterdir():
            if folder.name not in kept:
                try:
                    shutil.rmtree(folder)
                except OSError as error:
                    log.warning("%s: cannot be removed (%s); remove it by hand", folder, error)

    def _state(self) -> str | None:
        """The name of the folder that `current` leads to, or None."""
        try:
            return self._current.readlink().name
        except FileNotFoundError:
            return None

    def _publication(self) -> Publication | None:
        path = self.published()
        if path is None:
            return None
        with opened(path, read_only=True, remedy=self._remedy) as connection:
            return publication.read(connection, path, remedy=self._remedy)
