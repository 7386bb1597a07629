"""Report queries: the `report/*.sql` files of a source or project, and their answers.

Each file is one query. The comment at its beginning is for the reader: the first line is the title,
the others explain it. A column with a list of numbers is drawn as a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from materia.errors import ConfigError

from materia_runner.tables.query import refusals, run_query

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FOLDER = "report"
MOST_ROWS = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportQuery:
    """A query of a file: its title, what explains it, and its SQL."""

    file: str
    title: str
    explanation: str
    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a report query.

    Attributes:
        query: The query.
        columns: Names of the columns.
        rows: The first MOST_ROWS rows.
        is_cut: Whether there are more.
        problem: Why there is no answer, or None.
    """

    query: ReportQuery
    columns: tuple[str, ...] = ()
    rows: tuple[Sequence[object], ...] = ()
    is_cut: bool = False
    problem: str | None = None


def report_queries(projects: Iterable[Path]) -> tuple[ReportQuery, ...]:
    """The queries of the folder `report` of each project, in the order of their names.

    Raises:
        ConfigError: a file cannot be read.
    """
    return tuple(
        _parsed(path) for project in projects for path in sorted((project / FOLDER).glob("*.sql"))
    )


def _parsed(path: Path) -> ReportQuery:
    try:
        sql = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a text in UTF-8: {error}") from error
    comment = []
    for line in sql.lstrip("\ufeff").splitlines():
        if not line.startswith("--"):
            break
        comment.append(line.removeprefix("--").strip())
    title, *more = comment or [path.stem.replace("_", " ")]
    return ReportQuery(file=path.name, title=title, explanation=" ".join(more), sql=sql)


def answered(connection: DuckDBPyConnection, query: ReportQuery) -> Answer:
    """The answer; a query that fails is an answer with a problem, since the others go on."""
    try:
        found = run_query(connection, query.sql)
        with refusals():
            rows = found.fetchmany(MOST_ROWS + 1)
    except ConfigError as error:
        return Answer(query=query, problem=str(error))
    return Answer(
        query=query,
        columns=tuple(found.columns),
        rows=tuple(rows[:MOST_ROWS]),
        is_cut=len(rows) > MOST_ROWS,
    )
