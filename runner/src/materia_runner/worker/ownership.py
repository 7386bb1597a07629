"""Refuse to remove another pipeline's tables: one published database belongs to one pipeline.

Building a second source, or fewer models, into a database would drop tables of the first without a
word. The fingerprint of what is published names its source, and its tables are compared with the
new.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from materia.errors import ConfigError
from materia.kit.sql import LOCKED

SHOWN = 5


def fingerprint_with_source(source: str, fingerprint: str) -> str:
    """The fingerprint of what *source* published."""
    return f"{source}:{fingerprint}"


def refuse_other_source(fingerprint: str | None, *, source: str, sink: str) -> None:
    """Do nothing when what is published is of *source*, or is not there.

    Raises:
        ConfigError: it is another source's.
    """
    owner, colon, _ = (fingerprint or "").partition(":")
    if colon and owner != source:
        raise ConfigError(
            f"what is published holds the tables of the source {owner!r}, and this pipeline's "
            f"source is {source!r}: publishing there would remove them; name another place for "
            f"this pipeline under [sinks.{sink}] in materia.toml"
        )


def published_names(database: Path) -> tuple[str, ...]:
    """The tables that the working copy of a published database says it has; none when it is new."""
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


def check_removed(
    before: Iterable[str], after: Sequence[str], *, project: Path | None, sink: str
) -> list[str]:
    """A warning that names the tables that are published and that no model makes any more.

    Raises:
        ConfigError: the pipeline has no SQLMesh project, or makes none of the tables: it is not
            the one that published them.
    """
    published = sorted(before)
    gone = [name for name in published if name not in set(after)]
    if not gone:
        return []
    names = ", ".join(gone[:SHOWN]) + (
        f" and {more} more" if (more := len(gone) - SHOWN) > 0 else ""
    )
    if project is None or gone == published:
        why = (
            "this pipeline has no SQLMesh project; set transform.project in materia.toml"
            if project is None
            else "none of this pipeline's models makes them"
        )
        raise ConfigError(
            f"publishing would remove {names}: {why}, or name another place for this pipeline "
            f"under [sinks.{sink}]"
        )
    return [f"no longer published, as no model makes it: {names}"]
