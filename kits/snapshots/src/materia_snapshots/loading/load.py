"""Load the files in use: one transaction a partition, so that a killed load goes on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from materia.data import LoadReport, LoadRequest, RawFile
from materia.errors import SourceError
from materia.kit.sql import literal
from materia_http.verified import UnusableFileError

from materia_snapshots.contract import marked
from materia_snapshots.declaration import UNDECLARED, odd_text
from materia_snapshots.forms import Form
from materia_snapshots.loading.history import history_views
from materia_snapshots.loading.releases import GATHERED, Releases
from materia_snapshots.loading.rows import INCOMING, TEXTS, Incoming, read_rows
from materia_snapshots.loading.slices import CAME, WENT, Moved, Slices
from materia_snapshots.loading.tables import Tables, transaction
from materia_snapshots.periods import Period, Runs

if TYPE_CHECKING:
    from materia_snapshots.declaration import Snapshots

# DuckDB's share of the memory; more goes to the folder for temporary files.
MEMORY_LIMIT = "400 MB"
# `failed to allocate data of size 64.0 MiB (352.1 MiB/381.4 MiB used)`
SIZE = r"([\d.]+) ([KMGT]iB|bytes)"
USED = re.compile(rf"size {SIZE} \({SIZE}/{SIZE} used\)")
UNITS = {"bytes": 2**-20, "KiB": 2**-10, "MiB": 1, "GiB": 2**10, "TiB": 2**20}
TEMPORARY = (TEXTS, INCOMING, CAME, WENT, *GATHERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A loaded file: its days, its rows, its own columns, and what it is compared with."""

    first: date
    last: date
    rows: int
    content: str
    extras: tuple[str, ...]
    before: str | None


def load(source: Snapshots, form: Form, request: LoadRequest, accept: Sequence[str]) -> LoadReport:
    """Load the files into the tables of the source; see `materia.Source.load`."""
    loaded: list[str] = []
    removed: list[str] = []
    refused: dict[str, str] = {}
    came = ended = 0
    runs = source.partitions if isinstance(source.partitions, Runs) else None
    files = request.files if runs is None else runs.in_use(request.files)
    wanted = {raw.partition: raw for raw in files}
    with _connect(request.database, request.directory) as connection:
        tables = Tables(source, connection)
        tables.create()
        layer = Releases(tables) if source.each == "release" else Slices(tables)
        present = _contents(tables)
        for key in sorted(set(present) - set(wanted), reverse=True):
            with transaction(connection):
                moved = layer.remove(key)
                _forget(tables, key)
            removed.append(key)
            came, ended = came + moved.came, ended + moved.went
        todo = [raw for key, raw in sorted(wanted.items()) if present.get(key) != raw.content]
        for number, raw in enumerate(todo, 1):
            try:
                known = raw.partition in present
                with _within_memory(connection):
                    moved = _load_one(
                        tables, layer, raw, request, form=form, accept=accept, known=known
                    )
            except UnusableFileError as error:
                refused[raw.partition] = f"{raw.url}: {marked(source, error)}"
            else:
                loaded.append(raw.partition)
                came, ended = came + moved.came, ended + moved.went
            request.loaded(raw.partition, len(todo) - number)
        tables.drop_extras()
        for statement in history_views(tables):
            connection.execute(statement)
        here, published = _files(tables), _published(source, request.published)
    changed = sorted(key for key in {*here, *published} if here.get(key) != published.get(key))
    return LoadReport(
        loaded=tuple(loaded),
        removed=tuple(sorted(removed)),
        affected=_affected(source, changed, here, published),
        rows_added=came,
        rows_ended=ended,
        refused=refused,
        remarks=_remarks(source, changed, here, published),
    )


def _load_one(
    tables: Tables,
    layer: Releases | Slices,
    raw: RawFile,
    request: LoadRequest,
    *,
    form: Form,
    accept: Sequence[str],
    known: bool,
) -> Moved:
    source = tables.source
    period = source.partitions.of(raw.partition)
    if period is None:
        raise UnusableFileError(f"{raw.partition} is not a partition of {source.name}")
    path = request.find(raw.partition, raw.file, raw.sha256)
    if path is None:
        raise SourceError(
            f"{raw.partition}: the raw file {raw.file} with SHA-256 {raw.sha256} is not kept any "
            "more; fetch it again with `materia run --everything`"
        )
    incoming = read_rows(
        tables.connection,
        source=source,
        form=form,
        path=path,
        directory=request.directory,
        accept=accept,
    )
    # Outside of the transaction: DuckDB cannot write into a table that the same one altered.
    tables.add_extras(incoming.extras)
    with transaction(tables.connection):
        moved = layer.put(period, known=known)
        _remember(tables, period, raw, incoming, seen=layer.first_seen(period.key))
    return moved


def _remember(
    tables: Tables, period: Period, raw: RawFile, incoming: Incoming, *, seen: datetime
) -> None:
    """Record a loaded file, and the days that it holds for, as far as they have come."""
    fetched = raw.fetched_at.astimezone(UTC).date()
    first = period.first or fetched
    last = max(first, min(period.last or fetched, fetched))
    _forget(tables, period.key)
    extras = ", ".join(map(literal, incoming.extras))
    tables.connection.execute(f"""
        INSERT INTO {tables.file} VALUES (
            {literal(period.key)}, {literal(first)}, {literal(last)}, {literal(raw.content)},
            {incoming.rows}, [{extras}]::TEXT[],
            {literal(seen)}
        )
    """)


def _forget(tables: Tables, key: str) -> None:
    tables.connection.execute(f"DELETE FROM {tables.file} WHERE partition = {literal(key)}")


def _contents(tables: Tables) -> dict[str, str]:
    return dict(
        tables.connection.execute(f"SELECT partition, content FROM {tables.file}").fetchall()
    )


def _files(tables: Tables) -> dict[str, _File]:
    """The loaded files by key, each with the content that its rows are compared with."""
    before = "lag(content) OVER (ORDER BY partition)" if tables.source.each == "release" else "NULL"
    rows = tables.connection.execute(
        f"SELECT partition, first_day, last_day, rows, content, extras, {before} "
        f"FROM {tables.file} ORDER BY partition"
    ).fetchall()
    return {
        key: _File(
            first=first,
            last=last,
            rows=number,
            content=content,
            extras=tuple(extras),
            before=compared,
        )
        for key, first, last, number, content, extras, compared in rows
    }


def _published(source: Snapshots, database: Path | None) -> dict[str, _File]:
    """The files that were published; the working copy may have gone on without a publish."""
    if database is None:
        return {}
    with duckdb.connect(str(database), read_only=True) as connection:
        try:
            return _files(Tables(source, connection))
        except (duckdb.CatalogException, duckdb.BinderException):
            return {}


def _affected(
    source: Snapshots,
    changed: Sequence[str],
    files: Mapping[str, _File],
    published: Mapping[str, _File],
) -> tuple[date, ...]:
    """The releases, or the days of the slices, whose rows differ from the published ones."""
    days: set[date] = set()
    for one in (found for key in changed for found in (files.get(key), published.get(key))):
        if one is not None:
            length = 0 if source.each == "release" else (one.last - one.first).days
            days |= {one.first + timedelta(days=number) for number in range(length + 1)}
    return tuple(sorted(days))


def _remarks(
    source: Snapshots,
    changed: Sequence[str],
    files: Mapping[str, _File],
    published: Mapping[str, _File],
) -> dict[str, list[str]]:
    """A warning for each file with less than half of the rows that it, or the one before it, had.

    A period that is not over yet has fewer rows than the one before it. Another warning is for the
    first file with a column that is not declared, when the published database has none with it, and
    one for a file of a period that is that of another one.
    """
    keys = list(files)
    seen = {name for one in published.values() for name in one.extras}
    found: dict[str, list[str]] = {}
    for key in (one for one in changed if one in files):
        here, place = files[key], keys.index(key)
        period = source.partitions.of(key)
        whole = period is not None and period.last is not None and here.last >= period.last
        compared = [(published.get(key), "it")]
        if place and (whole or source.each == "release"):
            compared.append((files[keys[place - 1]], keys[place - 1]))
        found[key] = [
            f"holds {here.rows:,} of the {before.rows:,} rows that {name} had before"
            for before, name in compared
            if before is not None and 2 * here.rows < before.rows
        ]
        if source.each == "slice" and (twin := _same_rows(files, key)) is not None:
            found[key].append(f"has the same rows as the file of {twin}: is it of its own period?")
        found[key] += [_undeclared(source, name) for name in here.extras if name not in seen]
        seen.update(here.extras)
    return {key: said for key, said in found.items() if said}


def _same_rows(files: Mapping[str, _File], key: str) -> str | None:
    """The first other partition with the same file, which a server may send for a missing one."""
    content = files[key].content
    return next(
        (one for one, file in files.items() if file.content == content and one != key), None
    )


def _undeclared(source: Snapshots, name: str) -> str:
    """Where the values of a column are that the declaration does not have."""
    place = f"raw.{source.name}_row has them as texts in {name}"
    if not source.models:
        place += f", and staging.stg_{source.name} in {UNDECLARED} ->> {literal(name)}"
    for one, column in source.table.items():
        if name == odd_text(one):
            return f"has values of {one} that are no {column.type}: {place}"
    return f"has the column {name}, which is not declared: until it is, {place}"


@contextmanager
def _within_memory(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Take a file that needs more than DuckDB's share of the memory for one of no use.

    Raises:
        UnusableFileError: the file would need more.
        duckdb.OutOfMemoryException: the machine has less than that share.
    """
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        found = USED.search(str(error))
        if found is None or _mib(found, 1) + _mib(found, 3) <= _mib(found, 5):
            raise
        for name in TEMPORARY:
            connection.execute(f"DROP TABLE IF EXISTS {name}")
        raise UnusableFileError(
            f"needs more than {MEMORY_LIMIT} of memory to be read: its lines are too long"
        ) from error


def _mib(found: re.Match[str], group: int) -> float:
    return float(found[group]) * UNITS[found[group + 1]]


@contextmanager
def _connect(database: Path, directory: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(
        str(database), config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(directory)}
    ) as connection:
        yield connection
