"""Run one SQL query on published tables, as a table, JSON or CSV."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from materia.errors import ConfigError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

BATCH = 10_000  # rows that are read at once
EXPORT = "; to write a table to a file, use `materia tables export`"
INSTEAD = {"COPY": EXPORT, "CREATE": EXPORT, "EXPORT": EXPORT}
# A text, which stays as it is, or a number that JSON lacks.
NUMBERLESS = re.compile(r'"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b')


def run_query(connection: DuckDBPyConnection, sql: str) -> DuckDBPyRelation:
    """The rows of a query, not yet computed.

    Raises:
        ConfigError: *sql* is not one query that only reads, or DuckDB refuses it.
    """
    import duckdb

    with refusals():
        statements = connection.extract_statements(sql)
    if len(statements) != 1:
        many = "no statement" if not statements else f"{len(statements)} statements"
        raise ConfigError(f"the SQL has {many}; give one query")
    reading = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
    if statements[0].type not in reading:
        kind = str(statements[0].type).rpartition(".")[2]
        raise ConfigError(f"a query only reads, and {kind} does not{INSTEAD.get(kind, '')}")
    with refusals():
        return connection.sql(sql)


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turn an error of DuckDB into a ConfigError with DuckDB's message.

    Raises:
        ConfigError: DuckDB refuses the query, or cannot compute it.
        KeyboardInterrupt: Ctrl-C; DuckDB wraps it in a RuntimeError.
    """
    import duckdb

    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise error.__cause__ from None
        raise
    except duckdb.PermissionException as error:
        raise ConfigError(
            "a query reads published tables only; files, addresses and extensions are closed to "
            f"it: {error}"
        ) from error
    except duckdb.Error as error:
        raise ConfigError(f"the query failed: {str(error).strip()}") from error
    except (OverflowError, ValueError) as error:  # DuckDB's interval or time, and none of Python's
        raise ConfigError(f"a value of the query cannot be shown: {error}") from error


def as_text(rows: DuckDBPyRelation, *, width: int, most: int) -> str:
    """A table at most *width* characters wide, with at most *most* rows, drawn by DuckDB."""
    if rows.columns == ["explain_key", "explain_value"]:  # a drawing, which a cell would break
        with refusals():
            return "\n".join(str(value).rstrip("\n") for _, value in rows.fetchall())
    drawn = io.StringIO()
    with refusals(), contextlib.redirect_stdout(drawn):
        rows.show(max_width=width, max_rows=most)
    return "\n".join(_cut(line, width) for line in drawn.getvalue().rstrip("\n").split("\n"))


def _cut(line: str, width: int) -> str:
    """*line* in a terminal that is narrower than the 80 characters DuckDB needs at least."""
    return line if len(line) <= max(width, 1) else f"{line[: max(width, 1) - 1]}…"


def as_json(rows: DuckDBPyRelation) -> Iterator[str]:
    """Lines of a JSON array of objects, one row a line; decimals are numbers with all digits.

    NaN and infinity, which JSON lacks, are null.
    """
    yield "["
    before = ""
    with refusals():
        lines = rows.query("rows_of_query", "SELECT to_json(rows_of_query) FROM rows_of_query")
        while found := lines.fetchmany(BATCH):
            for (line,) in found:
                if before:
                    yield f"{before},"
                before = f"  {_finite(line)}"
    if before:
        yield before
    yield "]"


def _finite(line: str) -> str:
    if "NaN" not in line and "Infinity" not in line:
        return line
    return NUMBERLESS.sub(lambda found: found[0] if found[0][0] == '"' else "null", line)


def batched(lines: Iterable[str], count: int = 1000) -> Iterator[list[str]]:
    """Lists of at most *count* lines: one write for each."""
    rest = iter(lines)
    while some := list(itertools.islice(rest, count)):
        yield some


def as_csv(rows: DuckDBPyRelation) -> Iterator[str]:
    """Lines of CSV (RFC 4180, with a header), without line ends; NULL is an empty field.

    Lists, structs and maps are JSON, truth values `true` and `false`.
    """
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")

    def written(values: Any) -> str:
        line.seek(0)
        line.truncate()
        writer.writerow(map(_cell, values))
        return line.getvalue().removesuffix("\n")

    yield written(rows.columns)
    with refusals():
        while found := rows.fetchmany(BATCH):
            yield from map(written, found)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, default=str, ensure_ascii=False)
    return value
