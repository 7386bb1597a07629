"""Write a table to an Excel sheet (xlsx); refuse what a sheet cannot hold.

Limits: support.microsoft.com, "Excel specifications and limits", as read on 2026-11-30; numbers
have 15 digits, dates begin in 1900.
"""

from __future__ import annotations

import math
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from materia.errors import ConfigError, SinkError

from materia_runner.install_hints import install_command

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

ROWS = 1_048_576  # with the header
COLUMNS = 16_384
CHARACTERS = 32_767  # in a cell
DIGITS = 15
FIRST_DAY = date(1900, 3, 1)  # before it, Excel counts a day that never was
BATCH = 10_000
NOT_IN_NAMES = str.maketrans("[]:*?/\\", "_______")  # characters that no sheet may be called
SETTINGS = {
    "constant_memory": True,
    "default_date_format": "yyyy-mm-dd hh:mm:ss",
    "strings_to_formulas": False,
    "strings_to_urls": False,
}


def write_sheet(rows: DuckDBPyRelation, name: str, path: Path) -> int:
    """Write the rows below a header, and return their number; text stays text.

    Args:
        rows: The table.
        name: The table's name, for messages; the sheet's name is its first 31 characters.
        path: The file; an existing one is replaced.

    Raises:
        ConfigError: XlsxWriter is not installed.
        SinkError: a sheet cannot hold the table; the message names row and column.
    """
    try:
        import xlsxwriter
    except ImportError as error:
        raise ConfigError(
            "an xlsx file needs XlsxWriter, which is not installed; run: "
            f"{install_command('materia-runner[xlsx]')}"
        ) from error
    columns = rows.columns
    if len(columns) > COLUMNS:
        raise SinkError(f"{name}: {len(columns):,} columns; a sheet holds {COLUMNS:,}")
    count = rows.count("*").fetchone()
    if count and count[0] >= ROWS:
        raise SinkError(
            f"{name}: {count[0]:,} rows; a sheet holds {ROWS - 1:,} below its header; export to "
            ".parquet or .csv, or query a part of it"
        )
    written = 0
    with xlsxwriter.Workbook(str(path), dict(SETTINGS)) as book:
        sheet = book.add_worksheet(name.translate(NOT_IN_NAMES)[:31])
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        sheet.freeze_panes(1, 0)
        sheet.write_row(0, 0, columns, book.add_format({"bold": True}))
        while found := rows.fetchmany(BATCH):
            for values in found:
                written += 1
                for index, value in enumerate(values):
                    if problem := _problem(value):
                        raise SinkError(
                            f"{name}, row {written:,}, column {columns[index]}: {problem}; "
                            "export to .parquet or .csv"
                        )
                    is_day = isinstance(value, date) and not isinstance(value, datetime)
                    sheet.write(written, index, _cell(value), day if is_day else None)
    return written


def _problem(value: Any) -> str | None:
    """Why no cell can hold *value* without loss; None when one can."""
    match value:
        case str() if len(value) > CHARACTERS:
            return f"{len(value):,} characters; a cell holds {CHARACTERS:,}"
        case int() | Decimal() if _digits(value) > DIGITS:
            return f"{value} has more than {DIGITS} digits"
        case float() if not math.isfinite(value):
            return f"{value} is no number of a sheet"
        case datetime() if value.date() < FIRST_DAY:
            return f"{value} is before {FIRST_DAY}"
        case date() if not isinstance(value, datetime) and value < FIRST_DAY:
            return f"{value} is before {FIRST_DAY}"
    return None


def _digits(value: int | Decimal) -> int:
    return len(Decimal(value).normalize().as_tuple().digits)


def _cell(value: Any) -> Any:
    """*value* as XlsxWriter takes it: text for lists, structs and times of a zone."""
    if isinstance(value, datetime):
        return value if value.tzinfo is None else str(value)
    plain = value is None or isinstance(value, str | bool | int | float | Decimal | date)
    return value if plain else str(value)
