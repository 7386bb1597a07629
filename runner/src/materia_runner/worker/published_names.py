"""Names of the published tables, as a working copy lists them."""

from __future__ import annotations

from pathlib import Path

from materia.kit.sql import LOCKED


def published_names(database: Path) -> tuple[str, ...]:
    """The published tables that a working copy lists; none for a new database."""
    import duckdb

    if not database.exists():
        return ()
    with duckdb.connect(str(database.resolve()), read_only=True, config=dict(LOCKED)) as connection:
        there = connection.execute(
            "SELECT count(*) FROM duckdb_tables() WHERE database_name = current_database()"
            " AND schema_name = 'publication' AND table_name = 'tables'"
        ).fetchone()
        if there != (1,):
            return ()
        rows = connection.execute("SELECT name FROM publication.tables ORDER BY 1").fetchall()
    return tuple(str(name) for (name,) in rows)
