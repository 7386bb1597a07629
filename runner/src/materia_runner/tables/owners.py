"""Source of each table in a published database, as the run that built it recorded it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def sources_of(connection: DuckDBPyConnection) -> dict[str, str]:
    """The source of each table by its name; empty text for a table of the user's own project.

    A database of an earlier version has no record: the answer is empty.
    """
    import duckdb

    try:
        rows = connection.execute(
            "SELECT schema || '.' || name, source FROM ownership.objects WHERE schema <> ''"
        ).fetchall()
    except duckdb.Error:
        return {}
    return {str(name): str(source) for name, source in rows}


def is_worth_telling(sources: dict[str, str]) -> bool:
    """Whether tables of more than one source are there."""
    return len({source for source in sources.values() if source}) > 1
