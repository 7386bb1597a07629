"""Publish to an Iceberg REST catalog: commit all tables at once, or one after another.

If the catalog supports multi-table commits, one commit changes all tables: readers see the old
state or the new. Otherwise the sink commits `publication.run` first, with a row that says
`publishing`, then each table, then `publication.run` again. Until then `publication.run` names the
old snapshots, for readers that need a consistent state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from materia.errors import BusyError
from materia_store.bucket.pointer import Pointer
from materia_store.object_store import Patience

from materia_iceberg.catalog.client import Catalog
from materia_iceberg.catalog.errors import ConflictError, UnclearError
from materia_iceberg.catalog.table_state import RUN, TableName, TableState
from materia_iceberg.catalogued import NAME, published_runs, read_catalogued
from materia_iceberg.keeping import Keeping
from materia_iceberg.settings import Settings

if TYPE_CHECKING:
    from materia_iceberg.catalog.client import Change
    from materia_iceberg.tables.prepared import Prepared, Ready, Tables

TRIES = 3  # attempts: each time, others changed tables but published nothing


class Publication:
    """The pointer of `materia_store.bucket.database`, kept in a table of the catalog."""

    def __init__(
        self, catalog: Catalog, settings: Settings, keeping: Keeping, patience: Patience | None
    ) -> None:
        """Publish to *catalog* with *settings*."""
        self._keeping = keeping
        self._catalog = catalog
        self._settings = settings
        self._patience = patience
        self._ready: Ready | None = None
        self._table = TableName.of(NAME, settings.prefix)
        self.name = NAME
        self.where = f"the table {self._table} of {catalog.where}"

    def read(self) -> tuple[Pointer | None, str | None]:
        """The published pointer, and the snapshot that holds it; one small request."""
        state = self._catalog.load(self._table, heads=True)
        if state is not None and state.head is not None and state.ours() is None:
            state = self._catalog.load(self._table)  # another program compacted it since
        found = read_catalogued(state, self.where) if state else None
        if found is None:
            return None, _version(state)
        return replace(found.pointer, begun=_unfinished(state)), _version(state)

    @contextmanager
    def prepared(
        self, database: Path, *, run: str, tables: Sequence[str]
    ) -> Iterator[Mapping[str, int]]:
        """Export the tables that changed, for a `swap` within the block; their rows by table."""
        from materia_iceberg.tables.export import scratch

        with scratch(database) as folder:
            state = self._catalog.load(self._table)
            # That run may still be committing: a new snapshot of every table stops it.
            anew = _unfinished(state) not in {None, run}
            self._ready = self._tables().ready(database, folder, tables, state, anew=anew)
            try:
                yield self._ready.rows
            finally:
                self._ready = None

    def swap(self, new: Pointer, database: Path, *, expected: str | None) -> bool:
        """Publish the tables of *database* if the version of `read` is still *expected*."""
        finished = [table.name for table in new.tables]
        ready = self._ready
        if ready is None:
            with self.prepared(database, run=new.run, tables=finished):
                return self.swap(new, database, expected=expected)
        tables = self._tables()
        anew = _unfinished(ready.publication) not in {None, new.run}
        for attempt in range(TRIES):
            state = self._catalog.load(self._table) if attempt else ready.publication
            if _is_published(state, new.run):
                return True
            if _version(state) != expected and not (attempt and _run(state) == new.run):
                return False
            if attempt:
                ready = tables.ready(database, ready.folder, finished, state, anew=anew)
            with tables.prepared(ready, new, database) as prepared:
                try:
                    if self._catalog.commits_several:
                        self._commit_at_once(prepared)
                    else:
                        self._commit_in_order(prepared)
                except ConflictError:
                    continue  # another run, or a compaction: read the state again
                tables.clear(prepared)
                return True
        raise BusyError(
            f"{self._catalog.where}: others change its tables all the time; nothing was "
            "published; run again when they have ended"
        )

    def snapshots(self) -> dict[str, str]:
        """Snapshots of `publication.run` by run, as far as they are kept."""
        state = self._catalog.load(self._table)
        runs = published_runs(state) if state else {}
        return {run: f"{NAME} {snapshot}" for run, snapshot in runs.items()}

    def _tables(self) -> Tables:
        # DuckDB is needed only here, and not by a run that finds nothing new.
        from materia_iceberg.tables.prepared import Tables

        return Tables(self._catalog, self._settings, self._keeping, self._patience)

    def _commit_at_once(self, prepared: Prepared) -> None:
        # `publication.run` last: if the catalog fails half way, it still names the old state.
        changes = [*prepared.changes, prepared.publish(prepared.publication)]
        self._commit(changes, lambda: self._is_published(prepared.run))

    def _commit_in_order(self, prepared: Prepared) -> None:
        run, state = prepared.run, prepared.publication
        if _run(state) != run:
            self._commit(
                [prepared.mark(state)], lambda: _run(self._catalog.load(self._table)) == run
            )
            state = self._catalog.load(self._table) or state
        for change in prepared.changes:
            self._commit([change], lambda change=change: self._is_there(change, run))  # type: ignore[misc]
        self._commit([prepared.publish(state)], lambda: self._is_published(run))

    def _is_published(self, run: str) -> bool:
        return _is_published(self._catalog.load(self._table), run)

    def _is_there(self, change: Change, run: str) -> bool:
        identifier = change["identifier"]
        name = TableName(namespace=identifier["namespace"][0], table=identifier["name"])
        return _run(self._catalog.load(name)) == run

    def _commit(self, changes: Sequence[Change], applied: Callable[[], bool]) -> None:
        """Commit; when the answer is lost or unclear, check whether the commit was applied.

        Raises:
            ConflictError: another writer changed a table.
            MateriaError: the commit failed.
        """
        waiting = self._catalog.waiting()
        while True:
            try:
                self._catalog.commit(changes)
            except UnclearError as error:
                if applied():
                    return
                if not waiting.again(error):
                    raise
            except ConflictError:
                # The conflict may be with an earlier attempt of this run that was applied.
                if applied():
                    return
                raise
            else:
                return


def _version(state: TableState | None) -> str | None:
    """A version that changes with every write by materia to the table, and with no other."""
    found = state.last_of_ours() if state else None
    return None if found is None else str(found["snapshot-id"])


def _run(state: TableState | None) -> str | None:
    """The run that last wrote the table."""
    found = state.last_of_ours() if state else None
    return None if found is None else str(found["summary"][RUN])


def _unfinished(state: TableState | None) -> str | None:
    """The run that has begun to publish and is not in force yet."""
    found = read_catalogued(state, "") if state else None
    last = _run(state)
    return None if found is not None and found.pointer.run == last else last


def _is_published(state: TableState | None, run: str) -> bool:
    """Whether *run* is published, and not only begun."""
    found = read_catalogued(state, "") if state else None
    return found is not None and found.pointer.run == run
