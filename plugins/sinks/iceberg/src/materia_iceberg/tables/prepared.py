"""Incremental publish: upload changed tables, and prepare their Iceberg commits."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from materia_store.bucket.pointer import Pointer
from materia_store.object_store import Patience

from materia_iceberg.catalog.client import Catalog, Change
from materia_iceberg.catalog.table_state import (
    CONTENT,
    FINGERPRINT,
    PUBLICATION,
    RUN,
    TableName,
    TableState,
)
from materia_iceberg.catalogued import (
    COLUMNS,
    DESCRIPTION,
    NAME,
    Catalogued,
    InCatalog,
    dropped_after,
    encoded,
    gone_after,
    kept_snapshots,
    read_catalogued,
    rows_query,
)
from materia_iceberg.keeping import Keeping
from materia_iceberg.settings import TABLE, Settings
from materia_iceberg.tables.cleaning import Cleaning, expired
from materia_iceberg.tables.columns import Column, schema_for
from materia_iceberg.tables.compared import Compared, InTheCatalog, compared
from materia_iceberg.tables.export import Export, Exported, exporting
from materia_iceberg.tables.files import TableFiles
from materia_iceberg.tables.schema import Schema
from materia_iceberg.tables.snapshot import current_schema, new_snapshot

warnings = logging.getLogger(f"materia.{TABLE}")  # the run reports them as its warnings


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Tables of a database that are exported as far as they changed.

    Attributes:
        publication: `publication.run` as it was loaded or created.
        before: The published state.
        folder: Folder of the exported files.
        tables: The tables, in the order of publication.
    """

    publication: TableState
    before: Catalogued | None
    folder: Path
    tables: tuple[Compared, ...]

    @property
    def rows(self) -> Mapping[str, int]:
        """Number of rows by table."""
        return {one.name: one.rows for one in self.tables}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A table with a prepared change.

    Attributes:
        state: State of the table before the change.
        files: Its files.
        expired: Snapshots that expire with the change.
    """

    state: TableState
    files: TableFiles
    expired: tuple[int, ...]


@dataclass(slots=True, kw_only=True)
class Prepared:
    """A publication that is ready to be committed.

    Attributes:
        run: The run.
        publication: `publication.run` as it was loaded.
        before: The published state.
        after: The state to publish.
        tables: The object that makes the changes of `publication.run`.
        export: The open database.
        kept: Snapshots that must not expire.
        changes: Changes of the other tables.
        changed: The tables that change, with `publication.run`.
    """

    run: str
    publication: TableState
    before: Catalogued | None
    after: Catalogued
    tables: Tables
    export: Export
    kept: set[int]
    changes: list[Change] = field(default_factory=list)
    changed: list[Changed] = field(default_factory=list)

    def mark(self, state: TableState) -> Change:
        """The change of `publication.run` that says that the run has begun to publish."""
        query = rows_query(self.before, self.after)
        said = encoded(self.before) if self.before else None
        return self.tables.of_publication(self, state, query, said)

    def publish(self, state: TableState) -> Change:
        """The change of `publication.run` that puts the new state in force."""
        return self.tables.of_publication(self, state, rows_query(self.after), encoded(self.after))


class Tables:
    """Tables of a working database, in a catalog."""

    def __init__(
        self,
        catalog: Catalog,
        settings: Settings,
        keeping: Keeping,
        patience: Patience | None,
    ) -> None:
        """Publish to *catalog*; *keeping* limits snapshot expiry and file cleanup."""
        self._catalog = catalog
        self._settings = settings
        self._patience = patience
        self._keeping = keeping

    def ready(
        self,
        database: Path,
        folder: Path,
        finished: Sequence[str],
        publication: TableState | None,
        *,
        anew: bool,
    ) -> Ready:
        """Export the tables of *database* that changed into *folder*, with *anew* the others too.

        This creates missing tables in the catalog, without rows.

        Raises:
            MateriaError: a table cannot be published.
        """
        before = read_catalogued(publication, str(publication.name)) if publication else None
        published = {table.name: table.uuid for table in before.tables} if before else {}
        there = InTheCatalog(self._catalog, self._settings, published=published)
        with exporting(database, folder) as export:
            names = export.tables(finished, self._settings.layers)
            if publication is not None:
                there.check(publication)
            else:
                publication = there.made(NAME, _columns_of_publication(export), DESCRIPTION)
                before = read_catalogued(publication, str(publication.name))
            tables = tuple(compared(export, names, there, anew=anew))
        return Ready(publication=publication, before=before, folder=folder, tables=tables)

    @contextmanager
    def prepared(self, ready: Ready, new: Pointer, database: Path) -> Iterator[Prepared]:
        """Upload the changed tables of *ready*, without a commit to the catalog.

        Raises:
            MateriaError: a table cannot be uploaded.
        """
        with exporting(database, ready.folder) as export:
            prepared = Prepared(
                run=new.run,
                publication=ready.publication,
                before=ready.before,
                after=Catalogued(pointer=new, tables=()),
                tables=self,
                export=export,
                # With the new one.
                kept=kept_snapshots(ready.publication, self._keeping.publications - 1),
            )
            published = tuple(self._prepare(prepared, one) for one in ready.tables)
            gone = filter(self._is_there, gone_after(ready.before, published))
            prepared.after = Catalogued(
                pointer=new,
                tables=published,
                dropped=dropped_after(
                    ready.before,
                    published,
                    gone,
                    now=new.published_at,
                    kept_for=self._keeping.young,
                ),
            )
            yield prepared

    def clear(self, prepared: Prepared) -> None:
        """Drop the tables of deleted models, and delete files that no snapshot needs.

        A failure is only a warning: the next run tries again.
        """
        cleaning = Cleaning(self._catalog, self._keeping)
        try:
            for one in prepared.after.dropped:
                name = TableName.of(one.name, self._settings.prefix)
                found = self._catalog.load(name)
                if found is None:
                    metadata = {"location": one.location}
                    gone = TableState(name=name, metadata=metadata, config={})
                    cleaning.remove_dropped(one, self._files(gone))
                elif found.uuid == one.uuid:
                    self._catalog.drop(name)
            for changed in prepared.changed:
                left = changed.state.without(changed.expired)
                cleaning.remove_unneeded(left, changed.files, run=prepared.run)
        except Exception as error:  # noqa: BLE001 -- the run is published already
            warnings.warning(
                "the publication is complete, but unused files could not all be deleted; they use "
                "storage until a later run deletes them: %s",
                error,
            )

    def of_publication(
        self, prepared: Prepared, state: TableState, query: str, said: str | None
    ) -> Change:
        """The change that writes the rows of *query*, and the text *said*, to `publication.run`."""
        columns = _columns_of_publication(prepared.export)
        last = int(state.metadata["last-column-id"])
        schema = schema_for(columns, current_schema(state), last)
        exported = prepared.export.write_query(NAME, query, schema)
        summary = {PUBLICATION: said} if said else {}
        return self._change(prepared, state, exported, schema, DESCRIPTION, summary)[1]

    def _prepare(self, prepared: Prepared, one: Compared) -> InCatalog:
        snapshot = one.state.head or 0
        if one.exported is not None:
            summary = {CONTENT: one.content}
            snapshot, change = self._change(
                prepared, one.state, one.exported, one.schema, one.description, summary
            )
            prepared.changes.append(change)
        return InCatalog(
            name=one.name,
            uuid=one.state.uuid,
            snapshot=snapshot,
            location=one.state.location,
            rows=one.rows,
            description=one.description,
        )

    def _change(  # noqa: PLR0917 -- of one call for each kind of table
        self,
        prepared: Prepared,
        state: TableState,
        exported: Exported,
        schema: Schema,
        description: str,
        summary: Mapping[str, str],
    ) -> tuple[int, Change]:
        """Upload a file, and note its table as changed; the new snapshot and the change."""
        files, pointer = self._files(state), prepared.after.pointer
        old = expired(state, prepared.kept, self._keeping, now=pointer.published_at)
        new = new_snapshot(
            state,
            files,
            exported,
            schema,
            run=prepared.run,
            description=description,
            summary={RUN: pointer.run, FINGERPRINT: pointer.fingerprint, **summary},
            expired=old,
        )
        exported.path.unlink()
        prepared.changed.append(Changed(state=state, files=files, expired=old))
        return new.snapshot, new.change

    def _is_there(self, table: InCatalog) -> bool:
        """Whether a table still has its name: of a renamed one no file may be deleted."""
        found = self._catalog.load(TableName.of(table.name, self._settings.prefix))
        return found is not None and found.uuid == table.uuid

    def _files(self, state: TableState) -> TableFiles:
        return TableFiles(
            state,
            self._settings,
            reload=lambda: self._catalog.load(state.name),
            patience=self._patience,
        )


def _columns_of_publication(export: Export) -> tuple[Column, ...]:
    kinds = export.kinds(tuple(kind for _, kind, _ in COLUMNS))
    return tuple(
        Column(name=name, kind=kind, doc=doc)
        for (name, _, doc), kind in zip(COLUMNS, kinds, strict=True)
    )
