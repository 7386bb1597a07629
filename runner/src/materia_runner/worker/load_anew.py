"""Full reload: load all raw files into an empty database after an incompatible schema change.

A source may change its raw tables from one version to the next. Its statements then fail on the
published database, and no new partition could be loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from materia.data import LoadReport, LoadRequest
from materia.protocols import Source

from materia_runner.worker.owned_tables import Owned, drop_objects


def load_or_start_anew(
    source: Source, request: LoadRequest, *, own: Sequence[Owned] | None = None
) -> tuple[LoadReport, str]:
    """Load the files, and load everything again if the existing tables do not fit the source.

    The second value is the reason of a full reload, or empty. Nothing is lost: all data is in the
    raw files, and the database is a private copy.

    Args:
        source: The source.
        request: What to load.
        own: What the source made in a database that others use, too; None when all of it is its
            own.

    Raises:
        Exception: the error of the source, when the database was empty before.
    """
    import duckdb

    try:
        return source.load(request), ""
    except duckdb.ProgrammingError as error:  # a table or a column is missing or different
        if not _has_tables(request):
            raise
        reason = str(error).strip().split("\n", 1)[0]
    if own is None:
        for path in (request.database, request.database.with_name(f"{request.database.name}.wal")):
            path.unlink(missing_ok=True)
    else:
        with duckdb.connect(str(request.database)) as connection:
            drop_objects(connection, own)
    report = source.load(replace(request, published=None))
    return report, (
        f"the published tables do not fit this version ({reason}): all files are loaded again"
    )


def _has_tables(request: LoadRequest) -> bool:
    import duckdb

    if not request.database.exists():
        return False
    with duckdb.connect(str(request.database)) as connection:
        found = connection.execute("SELECT count(*) FROM duckdb_tables()").fetchone()
    return found is not None and bool(found[0])
