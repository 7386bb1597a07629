"""Write a sheet of an Excel workbook as CSV, with dates and whole numbers as they are meant."""

from __future__ import annotations

import csv
import re
import zipfile
from datetime import date, datetime, time
from functools import partial
from pathlib import Path

from materia.errors import SourceError
from materia_http.verified import UnusableFileError

from materia_snapshots.exact_numbers import plain
from materia_snapshots.forms import Excel
from materia_snapshots.loading import binary_sheet
from materia_snapshots.unpack import BROKEN

# A workbook is a zip of XML, which shrinks well: more than this is a zip bomb.
MAX_BYTES = 1 << 30
# The reader holds every cell between the first one and the last, the empty ones included: two cells
# far apart would take hundreds of gigabytes. The largest sheet of 48 columns has as many.
MAX_CELLS = 48 << 20
# A cell or a row that is not empty, with its place: `<c r="B7" s="2">`, `<row r="7">`.
PLACED = re.compile(
    rb"""<(?:\w+:)?(?:c|row)\s(?:[^<>]*?\s)?r=["']([A-Z]{0,3})(\d{1,7})[^<>]*(?<!/)>"""
)
# A table, a row or a cell of an OpenDocument sheet, which may stand for many: `<table:table-cell
# table:number-columns-repeated="9" office:value-type="float">`. Cells without a value have no type.
OPEN = re.compile(rb"<(?:\w+:)?(table|table-row|table-cell|covered-table-cell)(\s[^<>]*)?>")
REPEATED = re.compile(rb"""number-(?:rows|columns)-repeated=["'](\d{1,9})["']""")
LONGEST_TAG = 512


def written_as_csv(path: Path, form: Excel, target: Path) -> list[str]:
    """Write the rows to *target*, a CSV file with a header; returns the names of the columns.

    Raises:
        UnusableFileError: it is no workbook, has no such sheet, or no such row.
        SourceError: python-calamine is not installed.
    """
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError as error:
        raise SourceError(
            "to read workbooks, install python-calamine: `pip install 'materia-snapshots[excel]'`"
        ) from error
    _refuse_bomb(path)
    try:
        workbook = CalamineWorkbook.from_path(str(path))
        names = workbook.sheet_names
        sheet = form.sheet if form.sheet is not None else (names[0] if names else "")
        if sheet not in names:
            raise UnusableFileError(f"has no sheet {sheet!r}; it has {', '.join(names) or 'none'}")
        rows = workbook.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
    except CalamineError as error:
        raise UnusableFileError(f"cannot be read as a workbook: {error}") from error
    rows = rows[form.skip :]
    headers = [_text(one).strip() for one in rows[0]] if rows else []
    while headers and not headers[-1]:
        headers.pop()
    if not headers:
        raise UnusableFileError("has no row with the names of the columns")
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(headers)
        for row in rows[1:]:
            texts = [_text(one) for one in row]
            if any(texts[len(headers) :]):
                raise UnusableFileError("has cells to the right of the last named column")
            cells = texts[: len(headers)]
            if any(cells):
                writer.writerow([*cells, *[""] * (len(headers) - len(cells))])
    return headers


def _refuse_bomb(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(one.file_size for one in archive.infolist())
            cells = max(map(partial(_cells, archive), archive.infolist()), default=0)
    except BROKEN as error:
        raise UnusableFileError(f"is cut short or damaged: {error}") from error
    if size > MAX_BYTES:
        raise UnusableFileError(f"would unpack to {size:,} bytes: a zip bomb")
    if cells > MAX_CELLS:
        raise UnusableFileError(
            f"has a sheet of {cells:,} cells, counted up to the last one that has a value"
        )


def _cells(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
    """The number of cells of a sheet up to the last one with a value; 0 for other members."""
    if member.filename.endswith(".bin") and "worksheets/" in member.filename:
        with archive.open(member) as records:
            return binary_sheet.cells(records)
    if not member.filename.endswith(".xml"):
        return 0
    if member.filename == "content.xml":
        return _open_cells(archive, member)
    columns, rows, rest = {b""}, {b"0"}, b""
    with archive.open(member) as sheet:
        while chunk := sheet.read(1 << 20):
            text = rest + chunk
            for column, row in PLACED.findall(text):
                columns.add(column)
                rows.add(row)
            rest = text[-LONGEST_TAG:]
    return max(map(_number, columns)) * max(map(int, rows))


def _open_cells(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
    """The number of cells of the largest OpenDocument sheet up to the last one with a value."""
    most = rows = last_row = columns = column = 0
    rest = b""
    with archive.open(member) as content:
        while chunk := content.read(1 << 20):
            text = rest + chunk
            end = text.rfind(b">") + 1
            for kind, attributes in OPEN.findall(text[:end]):
                found = REPEATED.search(attributes)
                times = int(found[1]) if found else 1
                if kind == b"table":
                    rows = last_row = columns = 0
                elif kind == b"table-row":
                    rows, column = rows + times, 0
                else:
                    column += times
                    if b"value-type=" in attributes:
                        last_row, columns = rows, max(columns, column)
                        most = max(most, last_row * columns)
            rest = text[max(end, len(text) - (1 << 16)) :]
    return most


def _number(column: bytes) -> int:
    """The number of a column by its letters: 28 of AB."""
    number = 0
    for letter in column:
        number = 26 * number + letter - ord("A") + 1
    return number


def _text(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        case float():
            return plain(str(value))
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case datetime() | date():
            return value.isoformat()
    return str(value)
