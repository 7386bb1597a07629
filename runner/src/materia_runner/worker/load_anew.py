"""Load the raw files into an empty database when another version made the tables that are there.

A source may change its raw tables from one version to the next. What it finds in the published
database then does not fit its statements, and no new month would be loaded any more.
"""

from __future__ import annotations

from dataclasses import replace

from materia.data import LoadReport, LoadRequest
from materia.protocols import Source


def load_or_start_anew(source: Source, request: LoadRequest) -> tuple[LoadReport, str]:
    """Load, and if the tables do not fit the source, once more from nothing.

    The second value says why everything was loaded again; it is empty when it was not. Everything
    is in the raw files, and the database is a private copy: nothing is lost.

    Raises:
        Exception: what the source raised, when the database was empty before.
    """
    import duckdb

    try:
        return source.load(request), ""
    except duckdb.ProgrammingError as error:  # a table or a column that is not there, or is another
        if not _has_tables(request):
            raise
        reason = str(error).strip().split("\n", 1)[0]
    for path in (request.database, request.database.with_name(f"{request.database.name}.wal")):
        path.unlink(missing_ok=True)
    report = source.load(replace(request, published=None))
    return report, (
        f"the published tables do not fit this version ({reason}): all files are loaded anew"
    )


def _has_tables(request: LoadRequest) -> bool:
    import duckdb

    if not request.database.exists():
        return False
    with duckdb.connect(str(request.database)) as connection:
        found = connection.execute("SELECT count(*) FROM duckdb_tables()").fetchone()
    return found is not None and bool(found[0])
