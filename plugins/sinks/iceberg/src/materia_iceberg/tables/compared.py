"""Incremental publish: find the tables that changed, and export them to local Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from materia.errors import SinkError

from materia_iceberg.catalog.client import Catalog
from materia_iceberg.catalog.table_state import CONTENT, TableName, TableState
from materia_iceberg.settings import TABLE, Settings
from materia_iceberg.tables.columns import Column, schema_for
from materia_iceberg.tables.schema import Schema, schema_to_json
from materia_iceberg.tables.snapshot import COMMENT, PROPERTIES, current_schema

if TYPE_CHECKING:
    from materia_iceberg.tables.export import Export, Exported


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A table beside its state in the catalog.

    Attributes:
        name: With its layer.
        state: Its state in the catalog.
        schema: The schema to publish it with.
        description: What it is; may be empty.
        rows: Number of rows.
        content: Hash of its content.
        exported: The local file; None if the table is unchanged.
    """

    name: str
    state: TableState
    schema: Schema
    description: str
    rows: int
    content: str
    exported: Exported | None


class InTheCatalog:
    """The tables of a catalog, created where they are missing."""

    def __init__(
        self, catalog: Catalog, settings: Settings, *, published: Mapping[str, str]
    ) -> None:
        """*published* has the UUIDs of the published tables by their names.

        These are looked up alone, all others by the list of a namespace. So a first publication
        sends a request for each namespace instead of one for each table.
        """
        self._catalog = catalog
        self._prefix = settings.prefix
        self._published = published
        self._listed: dict[str, frozenset[str]] = {}  # by namespace
        self._namespaces: set[str] = set()  # those that exist

    def found_or_made(self, name: str, columns: tuple[Column, ...], description: str) -> TableState:
        """Load a table, or create one without rows.

        Raises:
            MateriaError: neither can be done, or the table is not that of a pipeline.
        """
        table = TableName.of(name, self._prefix)
        if not table.is_addressable:
            raise SinkError(
                f"{name}: cannot be published: catalogs cannot find a table of that name again; "
                "rename the model: its name must not be . or .., nor contain / \\ % ; ? # or "
                "control characters"
            )
        listed = name in self._published or table.table in self._names(table.namespace)
        found = self._catalog.load(table) if listed else None
        state = found or self.made(name, columns, description)
        self.check(state)
        return state

    def check(self, state: TableState) -> None:
        """Check that a table is empty or was written by materia, which replaces all its rows.

        Raises:
            SinkError: it has rows of another program only.
        """
        known = state.uuid in self._published.values()
        if not known and state.head is not None and not state.has_ours():
            raise SinkError(
                f"{state.name}: another program made this table, and the sink would replace its "
                f"rows; set {TABLE}.namespace_prefix, or drop or rename the table"
            )

    def made(self, name: str, columns: tuple[Column, ...], description: str) -> TableState:
        """Create a table without rows, or load the one that another writer has just created.

        Raises:
            MateriaError: neither can be done.
        """
        table = TableName.of(name, self._prefix)
        if table.namespace not in self._namespaces:
            self._catalog.create_namespace(table.namespace)
            self._namespaces.add(table.namespace)
        schema = schema_to_json(schema_for(columns), number=0)
        comment = {COMMENT: description} if description else {}
        made = self._catalog.create(table, schema, {**PROPERTIES, **comment})
        made = made or self._catalog.load(table)
        if made is None:
            raise SinkError(
                f"{self._catalog.where}: answers that {table} exists and that it does not exist "
                "as a table; if it is a view, drop or rename it, then run again"
            )
        return made

    def _names(self, namespace: str) -> frozenset[str]:
        if namespace not in self._listed:
            found = self._catalog.tables(namespace) or frozenset()
            self._listed[namespace] = found
            if found:
                self._namespaces.add(namespace)
        return self._listed[namespace]


def compared(
    export: Export, names: Sequence[str], tables: InTheCatalog, *, anew: bool
) -> Iterator[Compared]:
    """Each table of *names* beside its state in the catalog, exported if it changed.

    With *anew* it exports the others too. As long as no table has changed, it hashes a table before
    it exports it. After that it exports first, and hashes the file: most of the others have changed
    too, since they are built from one another, and DuckDB computes a view once instead of twice.

    Raises:
        MateriaError: a table cannot be exported or loaded.
    """
    changed = anew
    for name in names:
        columns, description = export.columns(name), export.description(name)
        state = tables.found_or_made(name, columns, description)
        schema = schema_for(columns, current_schema(state), int(state.metadata["last-column-id"]))
        before = None if anew else _content(state, schema)
        exported = None
        if before is not None and not changed:
            rows, content = export.content(name, columns, description)
            if content != before:
                exported = export.write(name, columns, schema)
        else:
            exported = export.write(name, columns, schema)
            rows, content = export.content(name, columns, description, of=exported)
            if content == before:
                exported.path.unlink()
                exported = None
        changed = changed or exported is not None
        yield Compared(
            name=name,
            state=state,
            schema=schema,
            description=description,
            rows=rows,
            content=content,
            exported=exported,
        )


def _content(state: TableState, schema: Schema) -> str | None:
    """The hash of what readers find in the catalog, if it is what materia wrote there."""
    ours = state.ours()
    # The hash covers columns and descriptions, but not changes that others made to them.
    if ours is None or state.head is None or schema != current_schema(state):
        return None
    content = ours["summary"].get(CONTENT)
    return None if content is None else str(content)
