"""Workbooks as files of a source: sheets, dates, whole numbers, and what is no workbook."""

from __future__ import annotations

import struct
from datetime import date, datetime, time
from io import BytesIO
from pathlib import Path

import pytest
from fakes.snapshot_files import PRICES, Shelf, with_, zipped
from materia.data import Refused
from materia_http.verified import UnusableFileError
from materia_snapshots import Column, Excel, Years
from materia_snapshots.unpack import COMPOUND, check_end_of_workbook

pytest.importorskip("python_calamine", reason="the group excel has what reads workbooks")
xlsxwriter = pytest.importorskip("xlsxwriter", reason="the extra xlsx has what writes workbooks")

YEARLY = with_(
    PRICES,
    partitions=Years("{year}.xlsx", since="2024"),
    form=Excel(sheet="Prices", skip=2, missing=("n/a",)),
    key=("code",),
    columns={
        "code": Column(type="TEXT", header="Code"),
        "price": Column(type="DECIMAL(18, 2)", header=("Price", "Price (EUR)")),
        "priced_on": Column(type="DATE", header="Date"),
        "items": Column(type="INTEGER", header="Items"),
        "open": Column(type="BOOLEAN", header="Open"),
    },
)


def workbook(*rows: tuple[object, ...], sheet: str = "Prices") -> bytes:
    file = BytesIO()
    with xlsxwriter.Workbook(file, {"default_date_format": "yyyy-mm-dd"}) as book:
        book.add_worksheet("Notes").write(0, 0, "Read me")
        page = book.add_worksheet(sheet)
        page.write(0, 0, "Prices of the year")
        for number, row in enumerate(rows):
            page.write_row(number + 2, 0, row)
    return file.getvalue()


HEADER = ("Code", "Price", "Date", "Items", "Open")


def test_a_sheet_gives_texts_numbers_and_dates_as_they_are_meant(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, YEARLY, since="2024")
    shelf.put(
        "2024",
        workbook(
            HEADER,
            ("0410", 1.5, date(2024, 1, 31), 12, True),
            ("", "", "", "", ""),
            ("0411", "n/a", datetime.combine(date(2024, 2, 29), time()), 1e6, False),
        ),
    )
    shelf.put("2025", workbook(("Code", "Price (EUR)", *HEADER[2:]), ("0410", 2, None, 3, None)))

    assert shelf.load().refused == {}
    assert shelf.rows(
        "SELECT partition, code, price::VARCHAR, priced_on::VARCHAR, items, open "
        "FROM raw.prices_row ORDER BY ALL"
    ) == [
        ("2024", "0410", "1.50", "2024-01-31", 12, True),
        ("2024", "0411", None, "2024-02-29", 1_000_000, False),
        ("2025", "0410", "2.00", None, 3, None),
    ]
    assert {path.name for path in shelf.kept.iterdir()} == {
        raw.sha256 for raw in shelf.raw.values()
    }


def far_apart() -> bytes:
    file = BytesIO()
    with xlsxwriter.Workbook(file) as book:
        page = book.add_worksheet("Prices")
        page.write(0, 0, "here")
        page.write(1_048_575, 16_383, "there")
    return file.getvalue()


FAULTS = {
    "no such sheet": (workbook(HEADER, sheet="Other"), "no sheet 'Prices'; it has Notes, Other"),
    "a note at the side": (workbook(HEADER, ("1", 2, None, 3, True, "note")), "to the right of"),
    "a number that is none": (workbook(HEADER, ("1", "dear", None, 3, True)), "row 1: Price is"),
    "no rows": (workbook(HEADER), "has no rows"),
    "nothing below": (workbook(), "no row with the names"),
    "two cells far apart": (far_apart(), "has a sheet of 17,179,869,184 cells"),
    "another zip": (zipped({"a.txt": b"text"}), "cannot be read as a workbook"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_workbook_of_no_use_is_refused_with_its_reason(fault: str, tmp_path: Path) -> None:
    content, said = FAULTS[fault]
    shelf = Shelf(tmp_path, YEARLY, since="2024")
    shelf.put("2024", content)

    assert said in shelf.load().refused["2024"]


@pytest.mark.parametrize("content", [b"<html>moved", b"code,price\n"])
def test_what_is_no_workbook_is_refused_when_it_is_fetched(content: bytes, tmp_path: Path) -> None:
    result = Shelf(tmp_path, YEARLY, since="2024").put("2024", content)

    assert isinstance(result, Refused)
    assert "not a file of Excel" in result.reason


def test_a_workbook_that_broke_off_is_refused_when_it_is_fetched(tmp_path: Path) -> None:
    content = workbook(HEADER, ("0410", 1.5, None, 3, True))
    result = Shelf(tmp_path, YEARLY, since="2024").put("2024", content[:-100])

    assert isinstance(result, Refused)
    assert "cut short" in result.reason


def compound(*tables: int, shift: int = 9) -> bytes:
    """The sectors of an `.xls` file: a table that says that all six are in use, then five."""
    header = bytearray(512)
    header[:8] = COMPOUND
    header[30] = shift
    struct.pack_into("<I", header, 68, 0xFFFFFFFE)
    struct.pack_into("<109I", header, 76, *tables, *[0xFFFFFFFF] * (109 - len(tables)))
    table = struct.pack("<128I", 0xFFFFFFFD, 2, 3, 4, 5, 0xFFFFFFFE, *[0xFFFFFFFF] * 122)
    return bytes(header) + table + bytes(5 * 512)


BROKEN_OFF = {
    "its last sectors are missing": compound(0)[:-600],
    "a table of its sectors is missing": compound(0)[:900],
    "the header is not whole": compound(0)[:300],
    "its sectors have an odd size": compound(0, shift=0),
    "too many tables": compound(0, 0, 0),
}


def test_an_old_workbook_with_its_end_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "2024.xls"
    path.write_bytes(compound(0))

    check_end_of_workbook(path)


@pytest.mark.parametrize("said", BROKEN_OFF)
def test_an_old_workbook_without_its_end_is_refused(said: str, tmp_path: Path) -> None:
    path = tmp_path / "2024.xls"
    path.write_bytes(BROKEN_OFF[said])

    with pytest.raises(UnusableFileError, match=said):
        check_end_of_workbook(path)


OPEN = """<?xml version="1.0"?><office:document-content
 xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0">
<office:body><office:spreadsheet><table:table table:name="Prices">{rows}</table:table>
</office:spreadsheet></office:body></office:document-content>"""
MANIFEST = (
    '<?xml version="1.0"?><manifest:manifest '
    'xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
)


def open_document(*rows: str) -> bytes:
    """A workbook of OpenDocument with these rows of XML."""
    return zipped(
        {
            "mimetype": b"application/vnd.oasis.opendocument.spreadsheet",
            "META-INF/manifest.xml": MANIFEST.encode(),
            "content.xml": OPEN.format(rows="".join(rows)).encode(),
        }
    )


def open_row(*texts: str, times: int = 1, across: int = 1) -> str:
    """A row of texts that stands for many, each for many columns; an empty one has no value."""
    cells = (
        f'<table:table-cell table:number-columns-repeated="{across}"'
        + (f' office:value-type="string"><text:p>{text}</text:p>' if text else ">")
        + "</table:table-cell>"
        for text in texts
    )
    row = f'<table:table-row table:number-rows-repeated="{times}">'
    return f"{row}{''.join(cells)}</table:table-row>"


def test_a_sheet_of_open_document_is_read_and_one_that_stands_for_millions_of_cells_is_refused(
    tmp_path: Path,
) -> None:
    columns = {"code": "TEXT", "price": "DECIMAL(18, 2)"}
    shelf = Shelf(tmp_path, with_(YEARLY, form=Excel(), columns=columns), since="2024")
    head, row = open_row("code", "price"), open_row("0410", "1.50")
    empty = open_row("", times=1_048_576, across=16_384)
    shelf.put("2024", open_document(head, row, empty))
    shelf.put("2025", open_document(head, row, open_row("a", times=1_000_000, across=99)))
    shelf.put("2026", open_document(head, row, open_row("", times=99_000_000), row))
    report = shelf.load()

    assert report.loaded == ("2024",)
    assert shelf.rows("SELECT code, price::VARCHAR FROM raw.prices_row") == [("0410", "1.50")]
    assert "has a sheet of 99,000,198 cells" in report.refused["2025"]
    assert "has a sheet of 198,000,006 cells" in report.refused["2026"]


def record(kind: int, content: bytes = b"") -> bytes:
    """A record of a binary workbook."""
    type_ = bytes([kind]) if kind < 0x80 else bytes([kind & 0x7F | 0x80, kind >> 7])
    return type_ + bytes([len(content)]) + content


def wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def binary_workbook(*cells: tuple[int, int, str]) -> bytes:
    """An .xlsb workbook of one sheet with these texts, each with its row and column."""
    rows: dict[int, list[bytes]] = {}
    for row, column, text in cells:
        rows.setdefault(row, []).append(record(6, struct.pack("<II", column, 0) + wide(text)))
    sheet = [record(0x81), record(0x94, bytes(16)), record(0x91)]
    for row, found in rows.items():
        sheet += [record(0, struct.pack("<I", row) + bytes(13)), *found]
    bundle = record(0x9C, bytes(8) + wide("rId1") + wide("Prices"))
    relations = (
        '<Relationships><Relationship Id="rId1" Target="worksheets/sheet1.bin" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"/>'
        "</Relationships>"
    )
    return zipped(
        {
            "xl/_rels/workbook.bin.rels": relations.encode(),
            "xl/workbook.bin": b"".join(
                [record(0x83), record(0x8F), bundle, record(0x90), record(0x9D), record(0x84)]
            ),
            "xl/worksheets/sheet1.bin": b"".join([*sheet, record(0x92), record(0x82)]),
        }
    )


def test_a_binary_sheet_is_read_and_one_with_cells_far_apart_is_refused(tmp_path: Path) -> None:
    columns = {"code": "TEXT", "price": "DECIMAL(18, 2)"}
    shelf = Shelf(tmp_path, with_(YEARLY, form=Excel(), columns=columns), since="2024")
    good = ((0, 0, "code"), (0, 1, "price"), (1, 0, "0410"), (1, 1, "1.50"))
    shelf.put("2024", binary_workbook(*good))
    shelf.put("2025", binary_workbook(*good, (1_048_575, 16_383, "far")))
    report = shelf.load()

    assert report.refused.keys() == {"2025"}, report
    assert "has a sheet of 17,179,869,184 cells" in report.refused["2025"]
    assert shelf.rows("SELECT code, price::VARCHAR FROM raw.prices_row") == [("0410", "1.50")]
