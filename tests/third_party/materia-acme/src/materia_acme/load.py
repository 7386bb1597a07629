"""Files into rows: one transaction a partition, so that a load can be killed and goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import duckdb
from materia.data import LoadReport, LoadRequest, RawFile
from materia.errors import SourceError

TABLES = """
CREATE SCHEMA IF NOT EXISTS raw;
CREATE TABLE IF NOT EXISTS raw.acme_file (month DATE PRIMARY KEY, content TEXT);
CREATE TABLE IF NOT EXISTS raw.acme_row (month DATE, item TEXT, price DECIMAL(18, 2));
"""


def load(request: LoadRequest) -> LoadReport:
    loaded, removed, refused = [], [], {}
    added = ended = 0
    wanted = {_month(raw.partition): raw for raw in request.files}
    try:
        with duckdb.connect(str(request.database)) as connection:
            connection.execute(TABLES)
            present = _contents(connection)
            for month in sorted(set(present) - set(wanted)):
                with _transaction(connection):
                    ended += _remove(connection, month)
                removed.append(f"{month:%Y-%m}")
            new = [raw for month, raw in wanted.items() if present.get(month) != raw.content]
            for count, raw in enumerate(new, 1):
                try:
                    with _transaction(connection):
                        ended += _remove(connection, _month(raw.partition))
                        added += _add(connection, raw, request)
                    loaded.append(raw.partition)
                except duckdb.ConversionException as error:
                    refused[raw.partition] = f"has a price that is no number: {error}"
                request.loaded(raw.partition, len(new) - count)
            now = _contents(connection)
    except duckdb.Error as error:
        raise SourceError(f"acme: cannot load into {request.database}: {error}") from error
    return LoadReport(
        loaded=tuple(loaded),
        removed=tuple(removed),
        affected=tuple(sorted(month for month, _ in now.items() ^ _published(request).items())),
        rows_added=added,
        rows_ended=ended,
        refused=refused,
    )


def _add(connection: duckdb.DuckDBPyConnection, raw: RawFile, request: LoadRequest) -> int:
    path = request.find(raw.partition, raw.file, raw.sha256)
    if path is None:
        raise SourceError(f"{raw.partition}: the raw file is not kept any more; fetch it again")
    month = _month(raw.partition)
    columns = "{'item': 'TEXT', 'price': 'DECIMAL(18, 2)'}"
    added = connection.execute(
        f"INSERT INTO raw.acme_row SELECT ?, item, price FROM read_csv(?, columns = {columns})",
        [month, str(path)],
    ).fetchall()
    connection.execute("INSERT INTO raw.acme_file VALUES (?, ?)", [month, raw.content])
    return int(added[0][0])


def _remove(connection: duckdb.DuckDBPyConnection, month: date) -> int:
    removed = connection.execute("DELETE FROM raw.acme_row WHERE month = ?", [month]).fetchall()
    connection.execute("DELETE FROM raw.acme_file WHERE month = ?", [month])
    return int(removed[0][0])


def _contents(connection: duckdb.DuckDBPyConnection) -> dict[date, str]:
    return dict(connection.execute("SELECT month, content FROM raw.acme_file").fetchall())


def _published(request: LoadRequest) -> dict[date, str]:
    """What was published; the working copy may have gone on without a publish."""
    if request.published is None:
        return {}
    with duckdb.connect(str(request.published), read_only=True) as connection:
        return _contents(connection)


def _month(key: str) -> date:
    return date.fromisoformat(f"{key}-01")


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
