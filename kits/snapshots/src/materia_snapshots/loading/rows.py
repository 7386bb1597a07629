"""Read a file with DuckDB into rows with exact types; name the first value that does not fit."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from materia.kit.sql import literal
from materia.kit.text import on_one_line
from materia_http.verified import UnusableFileError

from materia_snapshots.check import LONGEST_HEADER, split_head
from materia_snapshots.contract import MOST_COLUMNS, expected, new_columns
from materia_snapshots.declaration import OURS, Column, odd_text, plain_header
from materia_snapshots.exact_numbers import exact, has_more_names, whole_lines
from materia_snapshots.forms import Csv, Excel, Form, JsonLines, Parquet
from materia_snapshots.loading.tables import count, quoted
from materia_snapshots.unpack import decoded, unpacked

if TYPE_CHECKING:
    from materia_snapshots.declaration import Snapshots

NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)"
FIRST_YEAR = 1000
ROWS = ".rows.csv"
TEXTS, INCOMING = "snapshots_text", "snapshots_incoming"

OF_THE_MACHINE = (
    duckdb.FatalException,
    duckdb.InterruptException,
    duckdb.OutOfMemoryException,
    duckdb.TransactionException,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """The rows of a file, in the temporary table `snapshots_incoming`.

    Attributes:
        rows: Their number.
        extras: Names of the text columns that the declaration does not have.
    """

    rows: int
    extras: tuple[str, ...]


def read_rows(
    connection: duckdb.DuckDBPyConnection,
    *,
    source: Snapshots,
    form: Form,
    path: Path,
    directory: Path,
    accept: Sequence[str],
) -> Incoming:
    """Fill the temporary table with the rows of a file.

    Raises:
        UnusableFileError: the file cannot be read, or a row or value cannot be used; the message
            names the row, counted from 1 without the header.
    """
    with _opened(connection, source, form, path, directory) as (relation, headers):
        new = new_columns(source, headers, accept)
        by_header = {plain_header(one): f"c{place}" for place, one in enumerate(headers)}
        extras = _names(source, new)
        texts = {
            **{name: _first(by_header, one.headers) for name, one in source.table.items()},
            **{extra: by_header[plain_header(header)] for header, extra in extras.items()},
        }
        chosen = ", ".join(f'{text or "NULL::VARCHAR"} AS "{name}"' for name, text in texts.items())
        with _reading():
            connection.execute(f"""
                CREATE OR REPLACE TEMP TABLE {TEXTS} AS
                SELECT row_number() OVER () AS "_row", {chosen} FROM {relation}
            """)
    kept = _convert(connection, source, list(extras.values()))
    rows = count(connection, INCOMING)
    if not rows:
        raise UnusableFileError("has no rows")
    _check_key(connection, source.key)
    connection.execute(f"DROP TABLE {TEXTS}")
    return Incoming(rows=rows, extras=tuple(sorted(kept)))


def _first(columns: Mapping[str, str], headers: Sequence[str]) -> str | None:
    """The column of the first of *headers* that the file has."""
    plain = map(plain_header, headers)
    return next((columns[one] for one in plain if one in columns), None)


@contextmanager
def _opened(
    connection: duckdb.DuckDBPyConnection,
    source: Snapshots,
    form: Form,
    path: Path,
    directory: Path,
) -> Iterator[tuple[str, list[str]]]:
    """SQL for the rows as texts, in columns `c0`, `c1`, ...; and the names of the columns."""
    unpacked_to = directory / f"{source.name}.unpacked"
    try:
        chunks = unpacked(path, form, limit=source.most_bytes)
        if isinstance(form, Csv | JsonLines):
            # DuckDB does not read mixed line ends.
            ends = io.IncrementalNewlineDecoder(None, translate=True)
            texts = (ends.decode(text) for text in decoded(chunks, form))
            with unpacked_to.open("w", encoding="utf-8", newline="") as file:
                if isinstance(form, Csv):
                    head = _begin(texts)
                    headers, lines, rest = split_head(head, form)
                    # Empty lines in place of the head, as quotes in it have no meaning.
                    file.write("\n" * lines + rest)
                file.writelines(
                    texts
                    if isinstance(form, Csv)
                    else exact(_few_names(source, whole_lines(texts)))
                )
        else:
            with unpacked_to.open("wb") as file_of_bytes:
                file_of_bytes.writelines(chunks)
        name = literal(str(unpacked_to))
        if isinstance(form, Csv):
            yield _csv(form, name, headers, lines), headers
            return
        with _reading():
            read = _relation(connection, form, name, unpacked_to, limit=source.most_bytes)
        yield read
    finally:
        unpacked_to.unlink(missing_ok=True)
        unpacked_to.with_suffix(ROWS).unlink(missing_ok=True)


@contextmanager
def _reading() -> Iterator[None]:
    """Take DuckDB's errors for faults of the file, but not a full memory or disk.

    A good file in quarantine would stay there until it changes.
    """
    try:
        yield
    except duckdb.Error as error:
        unwritten = isinstance(error, duckdb.IOException) and "write" in str(error)
        if unwritten or isinstance(error, OF_THE_MACHINE):
            raise
        raise UnusableFileError(_reason(error)) from error


def _begin(texts: Iterator[str]) -> str:
    """The texts up to at least the longest head of a CSV file, or all of them."""
    begin = ""
    while len(begin) < LONGEST_HEADER and (text := next(texts, None)) is not None:
        begin += text
    return begin


def _few_names(source: Snapshots, blocks: Iterator[str]) -> Iterator[str]:
    """The same blocks of JSON lines; DuckDB takes all memory for an object with very many names."""
    for block in blocks:
        for line in block.split("\n") if block.count(":") > MOST_COLUMNS else ():
            if line.count(":") > MOST_COLUMNS and has_more_names(line, MOST_COLUMNS):
                raise UnusableFileError(
                    f"has a line with more than {MOST_COLUMNS:,} names; {expected(source)}"
                )
        yield block


def _relation(
    connection: duckdb.DuckDBPyConnection,
    form: JsonLines | Parquet | Excel,
    name: str,
    path: Path,
    *,
    limit: int,
) -> tuple[str, list[str]]:
    """The same as `_opened`; the SQL is empty when there are more columns than are ever read."""
    if isinstance(form, JsonLines):
        objects = f"read_json_objects({name}, format = 'newline_delimited')"
        odd = connection.execute(
            f"SELECT json, json_type(json) = 'OBJECT' FROM {objects} WHERE json_type(json) "
            "<> 'OBJECT' OR len(list_distinct(json_keys(json))) < len(json_keys(json)) LIMIT 1"
        )
        if (found := odd.fetchone()) is not None:
            what = "has a name twice" if found[1] else "is no JSON object"
            raise UnusableFileError(f"has a line that {what}: {str(found[0])[:80]}")
        listed = connection.execute(
            f"SELECT DISTINCT unnest(json_keys(json)) FROM {objects} LIMIT {MOST_COLUMNS + 1}"
        )
        headers = sorted(key for (key,) in listed.fetchall())
        if len(headers) > MOST_COLUMNS:
            return "", headers
        columns = ", ".join(
            f"json ->> {literal(_pointer(key))} AS c{place}" for place, key in enumerate(headers)
        )
        return f"(SELECT {columns or 'json AS c0'} FROM {objects})", headers
    if isinstance(form, Excel):
        from materia_snapshots.loading.workbook import written_as_csv

        text = path.with_suffix(ROWS)
        headers = written_as_csv(path, form, text)
        plain = Csv(missing=form.missing)
        return _csv(plain, literal(str(text)), headers, 1), headers
    described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({name})").fetchall()
    headers = [str(row[0]) for row in described]
    if len(headers) > MOST_COLUMNS:
        return "", headers
    cells = [_cell(str(header), str(kind)) for header, kind, *_ in described]
    _refuse_large(connection, name, cells, limit)
    columns = ", ".join(f"{cell} AS c{place}" for place, cell in enumerate(cells))
    return f"(SELECT {columns} FROM read_parquet({name}))", headers


def _refuse_large(
    connection: duckdb.DuckDBPyConnection, name: str, cells: Sequence[str], limit: int
) -> None:
    """Refuse a Parquet file whose values are longer than *limit* as text.

    A few kilobytes of it may hold a value a billion times.
    """
    rows = connection.execute(f"""
        SELECT coalesce(sum(rows), 0) FROM (
            SELECT DISTINCT row_group_id, row_group_num_rows AS rows FROM parquet_metadata({name})
        )
    """).fetchone()
    size = int(rows[0]) * len(cells) if rows else 0
    if size <= limit:
        lengths = ", ".join(f"sum(strlen({cell}))" for cell in cells)
        found = connection.execute(f"SELECT {lengths} FROM read_parquet({name})").fetchone()
        size += sum(int(one or 0) for one in found or ())
    if size > limit:
        raise UnusableFileError(f"has values of more than {limit:,} bytes when it is unpacked")


def _cell(header: str, kind: str) -> str:
    """SQL for the text of a value in a Parquet file.

    Some writers do not mark their texts as such; bytes that are no UTF-8 are an error.
    """
    name = quoted([header.replace(chr(34), chr(34) * 2)])
    return f"decode({name})" if kind == "BLOB" else f"{name}::VARCHAR"


def _csv(form: Csv, name: str, headers: Sequence[str], lines: int) -> str:
    columns = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(headers)))
    missing = ", ".join(map(literal, ("", *form.missing)))
    return (
        f"read_csv({name}, auto_detect = false, header = false, skip = {lines}, "
        f"delim = {literal(form.delimiter)}, quote = '\"', escape = '\"', "
        f"nullstr = [{missing}], columns = {{{columns}}})"
    )


def _pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _names(source: Snapshots, headers: Sequence[str]) -> dict[str, str]:
    """A column name for each new header of a file."""
    odd = (odd_text(name) for name, one in source.table.items() if one.type != "TEXT")
    taken = {*source.table, *OURS, *odd}
    names: dict[str, str] = {}
    for header in headers:
        plain = re.sub(r"[^a-z0-9]+", "_", header.casefold()).strip("_") or "column"
        name, number = plain, 2
        while name in taken:
            name, number = f"{plain}_{number}", number + 1
        taken.add(name)
        names[header] = name
    return names


def _convert(
    connection: duckdb.DuckDBPyConnection, source: Snapshots, extras: list[str]
) -> list[str]:
    """Convert the texts; returns the text columns beside the declared ones."""
    comma = isinstance(source.form, Csv) and source.form.decimal == ","
    values = {name: _value(name, column, comma=comma) for name, column in source.table.items()}
    odd = {
        name: _odd(name, values[name]) for name, one in source.table.items() if one.type != "TEXT"
    }
    if odd:
        first = connection.execute(
            "SELECT "
            + ", ".join(f'min("_row") FILTER ({condition})' for condition in odd.values())
            + f" FROM {TEXTS}"
        ).fetchone()
        rows = dict(zip(odd, first or (), strict=True))
        faults = {name: row for name, row in rows.items() if row is not None}
    else:
        faults = {}
    in_keys = [name for name in faults if name in source.key]
    if faults and (source.schema != "evolve" or in_keys):
        name = min(in_keys or faults, key=lambda one: (faults[one], one))
        raise UnusableFileError(_fault(connection, name, source.table[name], faults[name]))
    columns = [f'{value} AS "{name}"' for name, value in values.items()]
    for name in faults:
        extra = odd_text(name)
        columns.append(f'CASE WHEN {odd[name]} THEN "{name}" END AS "{extra}"')
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE {INCOMING} AS
        SELECT {", ".join([*columns, *(f'"{extra}"' for extra in extras)])} FROM {TEXTS}
        ORDER BY "_row"
    """)
    return [*extras, *map(odd_text, faults)]


def _value(name: str, column: Column, *, comma: bool) -> str:
    """SQL for the value of a text: NULL when it does not fit the type exactly."""
    if column.type == "TEXT":
        return f'"{name}"'
    text = f'trim("{name}")'
    if column.format:
        day = f"try_strptime({text}, {literal(column.format)})::DATE"
        # %Y also takes the two digits of another form: 26 would be a year of antiquity.
        return f"CASE WHEN year({day}) >= {FIRST_YEAR} THEN {day} END"
    if comma and column.type not in {"DATE", "BOOLEAN"}:
        text = f"translate({text}, ',.', '.,')"  # a point then makes it no number
    kind, _, scale = column.type.rstrip(")").replace("(", ",").partition(",")
    fits = f"regexp_full_match({text}, '{_pattern(kind, scale)}')"
    if kind == "DOUBLE":
        fits += f" AND isfinite(TRY_CAST({text} AS DOUBLE))"
    return f"CASE WHEN {fits} THEN TRY_CAST({text} AS {column.type}) END"


def _pattern(kind: str, scale: str) -> str:
    """Pattern of the texts that a type holds without a loss."""
    if kind == "DECIMAL":
        decimals = int(scale.rpartition(",")[2])
        return rf"[+-]?([0-9]+(\.[0-9]{{0,{decimals}}}0*)?|\.[0-9]{{1,{max(decimals, 1)}}}0*)"
    return {
        "DATE": "[0-9]{4}-[0-9]{2}-[0-9]{2}",
        "BOOLEAN": "(?i)true|false|yes|no|t|f|y|n|1|0",
        "DOUBLE": rf"{NUMBER}([eE][+-]?[0-9]+)?",
    }.get(kind, "[+-]?[0-9]+")


def _odd(name: str, value: str) -> str:
    return f"(trim(\"{name}\") <> '' AND ({value}) IS NULL)"


def _fault(connection: duckdb.DuckDBPyConnection, name: str, column: Column, row: int) -> str:
    found = connection.execute(f'SELECT "{name}" FROM {TEXTS} WHERE "_row" = {row}').fetchone()
    value = on_one_line(str(found[0] if found else ""))[:60]
    form = f" {column.format}" if column.format else ""
    fault = f"is no {_wanted(column)} ({column.type}{form})"
    if column.type not in {"DATE", "BOOLEAN", "DOUBLE"} and re.fullmatch(NUMBER, value.strip()):
        fault = f"{column.type} cannot hold exactly"
    return f"row {row:,}: {column.headers[0]} is {value!r}, which {fault}"


def _wanted(column: Column) -> str:
    if column.type in {"INTEGER", "BIGINT"}:
        return "whole number"
    return {"DATE": "date", "BOOLEAN": "boolean"}.get(column.type, "number")


def _check_key(connection: duckdb.DuckDBPyConnection, key: Sequence[str]) -> None:
    """Refuse a row without a key, and two rows with the same one."""
    for name in key:
        if count(connection, f"""{INCOMING} WHERE coalesce(trim("{name}"::VARCHAR), '') = ''"""):
            raise UnusableFileError(f"has a row whose key column {name} is empty")
    twice = connection.execute(f"""
        SELECT {quoted(key)}, count(*) FROM {INCOMING} GROUP BY ALL HAVING count(*) > 1
        ORDER BY ALL LIMIT 1
    """).fetchone()
    if twice is not None:
        *values, times = twice
        named = ", ".join(f"{name} {value}" for name, value in zip(key, values, strict=True))
        raise UnusableFileError(f"has {times} rows for the key {on_one_line(named)}")


def _reason(error: Exception) -> str:
    """DuckDB's message about the text, without its options."""
    parts = [part.strip() for part in str(error).splitlines() if part.strip()]
    found = re.search(r"CSV Error on Line: (\d+)", parts[0]) if parts else None
    if parts and (
        json := re.search(r"Malformed JSON in file .*, at byte .* in line (\d+): (.*)", parts[0])
    ):
        # DuckDB counts the line behind the broken one.
        problem = json[2].split(". Try ")[0].rstrip(".")
        return f"line {int(json[1]) - 1:,} cannot be read as JSON: {problem}"
    if found is None:
        return f"cannot be read: {parts[0].rstrip('.') if parts else type(error).__name__}"
    told = list(takewhile(lambda part: not part.startswith("Possible "), parts[1:]))
    named = [part for part in told if part != "Original Line:"]
    line, problem = (named[0], named[-1]) if len(named) > 1 else ("", "".join(named))
    line = line.removeprefix("Original Line:").strip()
    return f"line {int(found[1]):,} cannot be read: {problem.rstrip('.')}: {line[:200]!r}"
