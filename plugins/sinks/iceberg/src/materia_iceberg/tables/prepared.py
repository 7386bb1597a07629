"""Incremental publish: upload only changed tables, and prepare their Iceberg commits."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from materia.errors import SinkError
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
    kept_snapshots,
    read_catalogued,
    rows_query,
)
from materia_iceberg.keeping import Keeping
from materia_iceberg.settings import TABLE, Settings
from materia_iceberg.tables.cleaning import Cleaning, expired
from materia_iceberg.tables.columns import Column, schema_for
from materia_iceberg.tables.export import Export, exporting
from materia_iceberg.tables.files import TableFiles
from materia_iceberg.tables.snapshot import COMMENT, PROPERTIES, current_schema, new_snapshot

if TYPE_CHECKING:
    from pyiceberg.schema import Schema

warnings = logging.getLogger(f"materia.{TABLE}")  # the run reports them as its warnings


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
        self._namespaces: set[str] = set()  # those that exist

    @contextmanager
    def prepared(
        self, new: Pointer, database: Path, publication: TableState | None, *, all_anew: bool
    ) -> Iterator[Prepared]:
        """Upload the tables of *database* that changed, without a commit to the catalog.

        With *all_anew* it uploads the others too.

        Raises:
            MateriaError: a table cannot be published.
        """
        with exporting(database) as export:
            if publication is None:
                publication = self._made(NAME, _columns_of_publication(export), DESCRIPTION)
            before = read_catalogued(publication, str(publication.name))
            prepared = Prepared(
                run=new.run,
                publication=publication,
                before=before,
                after=Catalogued(pointer=new, tables=()),
                tables=self,
                export=export,
                kept=kept_snapshots(publication, self._keeping.publications - 1),  # and the new one
            )
            finished = [table.name for table in new.tables]
            names = export.tables(finished, self._settings.layers)
            published = tuple(self._prepare(prepared, name, anew=all_anew) for name in names)
            prepared.after = Catalogued(
                pointer=new,
                tables=published,
                dropped=dropped_after(
                    before, published, now=new.published_at, kept_for=self._keeping.young
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
        schema = self._schema(state, columns)
        exported = prepared.export.write_query(NAME, query, schema)
        files = self._files(state)
        pointer = prepared.after.pointer
        old = expired(state, prepared.kept, self._keeping, now=pointer.published_at)
        new = new_snapshot(
            state,
            files,
            exported,
            schema,
            run=prepared.run,
            description=DESCRIPTION,
            summary={
                RUN: pointer.run,
                FINGERPRINT: pointer.fingerprint,
                **({PUBLICATION: said} if said else {}),
            },
            expired=old,
        )
        prepared.changed.append(Changed(state=state, files=files, expired=old))
        return new.change

    def _prepare(self, prepared: Prepared, name: str, *, anew: bool) -> InCatalog:
        export, pointer = prepared.export, prepared.after.pointer
        columns, description = export.columns(name), export.description(name)
        content = export.content(name, columns, description)
        found = self._catalog.load(TableName.of(name, self._settings.prefix))
        state = found or self._made(name, columns, description)
        schema = self._schema(state, columns)
        ours = state.ours()
        if ours is not None and state.head is not None and not anew:
            # The hash covers columns and descriptions, but not changes that others made to them.
            same = schema.fields == current_schema(state).fields
            if ours["summary"].get(CONTENT) == content and same:
                rows = int(ours["summary"]["total-records"])
                return InCatalog(
                    name=name,
                    uuid=state.uuid,
                    snapshot=state.head,
                    location=state.location,
                    rows=rows,
                    description=description,
                )
        exported = export.write(name, columns, schema)
        files = self._files(state)
        old = expired(state, prepared.kept, self._keeping, now=pointer.published_at)
        new = new_snapshot(
            state,
            files,
            exported,
            schema,
            run=prepared.run,
            description=description,
            summary={RUN: pointer.run, FINGERPRINT: pointer.fingerprint, CONTENT: content},
            expired=old,
        )
        exported.path.unlink()
        prepared.changes.append(new.change)
        prepared.changed.append(Changed(state=state, files=files, expired=old))
        return InCatalog(
            name=name,
            uuid=state.uuid,
            snapshot=new.snapshot,
            location=state.location,
            rows=exported.rows,
            description=description,
        )

    def _made(self, name: str, columns: tuple[Column, ...], description: str) -> TableState:
        """Create a table without rows, or load the one that another writer has just created."""
        table = TableName.of(name, self._settings.prefix)
        if table.namespace not in self._namespaces:
            self._catalog.create_namespace(table.namespace)
            self._namespaces.add(table.namespace)
        schema = schema_for(columns).model_dump(mode="json")
        comment = {COMMENT: description} if description else {}
        made = self._catalog.create(table, schema, {**PROPERTIES, **comment})
        made = made or self._catalog.load(table)
        if made is None:
            raise SinkError(
                f"{self._catalog.where}: answers that the table {table} exists and that it does "
                "not exist; run again"
            )
        return made

    def _schema(self, state: TableState, columns: tuple[Column, ...]) -> Schema:
        last = int(state.metadata["last-column-id"])
        return schema_for(columns, current_schema(state), last)

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
