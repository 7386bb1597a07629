"""Refuse to remove another pipeline's tables: one published database belongs to one pipeline.

A second source, or fewer models, would silently drop tables of the first pipeline. So the published
fingerprint names its source, and the published tables are compared with the new ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from materia.errors import ConfigError
from materia.kit.sql import LOCKED

SHOWN = 5


def fingerprint_with_source(source: str, fingerprint: str) -> str:
    """A fingerprint that names its *source*."""
    return f"{source}:{fingerprint}"


def refuse_other_source(fingerprint: str | None, *, source: str, sink: str) -> None:
    """Check that the published tables belong to *source*, if there are any.

    Raises:
        ConfigError: they belong to another source.
    """
    owner, colon, _ = (fingerprint or "").partition(":")
    if colon and owner != source:
        raise ConfigError(
            f"the published database has the tables of the source {owner!r}, and this pipeline's "
            f"source is {source!r}: publishing there would remove them; set another place for "
            f"this pipeline under [sinks.{sink}] in materia.toml"
        )


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


def check_removed(
    before: Iterable[str], after: Sequence[str], *, project: Path | None, sink: str
) -> list[str]:
    """A warning that names the published tables without a model.

    Raises:
        ConfigError: the pipeline has no SQLMesh project, or builds none of the published tables:
            another pipeline published them.
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
            else "none of this pipeline's models builds them; check transform.project"
        )
        raise ConfigError(
            f"publishing would remove {names}: {why}, or set another place for this pipeline "
            f"under [sinks.{sink}]"
        )
    return [f"no longer published, because no model builds it: {names}"]
