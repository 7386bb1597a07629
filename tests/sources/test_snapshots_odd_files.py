"""Files that are nearly right: read as they are meant, or refused with the reason, no guess."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import duckdb
import pytest
from fakes.http_server import QuietServer
from fakes.snapshot_files import PRICES, Shelf, with_
from materia.data import Fetched, FetchRequest, PartitionsRequest, Refused
from materia.errors import ConfigError
from materia_snapshots import Column, Excel, JsonLines, Parquet
from materia_snapshots.loading import load as loading
from materia_snapshots.settings import Settings
from materia_snapshots.source import SnapshotSource

LINES = with_(PRICES, form=JsonLines())
BINARY = with_(PRICES, form=Parquet())


def parquet(path: Path, select: str) -> bytes:
    duckdb.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return path.read_bytes()


@pytest.mark.campaign
def test_a_file_that_needs_more_than_its_share_of_the_memory_harms_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "MEMORY_LIMIT", "64 MB")
    shelf = Shelf(tmp_path, PRICES)
    shelf.put("2026-01", "item,price\n" + "".join(f"{n}{'x' * 999_999},1\n" for n in range(90)))
    shelf.put("2026-02", "item,price\nnails,1\n")
    report = shelf.load()

    assert "needs more than 64 MB of memory to be read" in report.refused["2026-01"]
    assert report.loaded == ("2026-02",)
    assert shelf.rows("SELECT item FROM raw.prices_row") == [("nails",)]


def test_an_object_with_very_many_names_is_refused_before_it_takes_all_memory(
    tmp_path: Path,
) -> None:
    def named(count: int) -> str:
        return ", ".join(f'"{number:x}": 1' for number in range(count))

    shelf = Shelf(tmp_path, LINES)
    shelf.put("2026-01", f'{{"item": "a", "price": 1}}\n{{{named(100_000)}}}\n')
    texts = with_(LINES, columns={**PRICES.columns, "more": "TEXT"})
    (tmp_path / "nested").mkdir()
    nested = Shelf(tmp_path / "nested", texts)
    nested.put("2026-01", f'{{"item": "a", "price": 1, "more": {{{named(3_000)}}}}}\n')

    assert "has a line with more than 2,000 names" in shelf.load().refused["2026-01"]
    assert nested.load().refused == {}


def test_a_line_that_is_no_json_is_named_by_its_number(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, LINES)
    good = [f'{{"item": "{number}", "price": 1}}' for number in range(5)]
    shelf.put("2026-01", "\n".join([*good[:3], '{"item": "z", "price" 1}', *good[3:]]))

    said = shelf.load().refused["2026-01"]
    assert "line 4 cannot be read as JSON: unexpected character (declaration" in said


def test_a_year_of_two_digits_is_no_year_of_antiquity(tmp_path: Path) -> None:
    day = Column(type="DATE", format="%d.%m.%Y")
    shelf = Shelf(tmp_path, with_(PRICES, columns={"item": "TEXT", "price": day}))
    shelf.put("2026-01", "item,price\nnails,1.3.2026\n")
    shelf.put("2026-02", "item,price\nnails,01.03.26\n")
    report = shelf.load()

    assert report.loaded == ("2026-01",)
    assert "row 1: price is '01.03.26', which is no date" in report.refused["2026-02"]


BLANKS: Mapping[str, tuple[object, str | bytes]] = {
    "csv": (PRICES, 'item,price\n"  ",1\n'),
    "json": (LINES, '{"item": "", "price": 1}\n'),
}


@pytest.mark.parametrize("form", BLANKS)
def test_a_key_of_spaces_or_nothing_is_no_key_in_any_form(form: str, tmp_path: Path) -> None:
    declared, content = BLANKS[form]
    shelf = Shelf(tmp_path, declared)  # type: ignore[arg-type]
    shelf.put("2026-01", content)

    assert "has a row whose key column item is empty" in shelf.load().refused["2026-01"]


def test_texts_that_a_parquet_file_has_as_bytes_are_read_as_utf_8(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, BINARY)
    made = tmp_path / "made.parquet"
    shelf.put("2026-01", parquet(made, "SELECT encode('Nägel') AS item, 1.5 AS price"))
    shelf.put("2026-02", parquet(made, r"SELECT '\xE4'::BLOB AS item, 1.5 AS price"))
    report = shelf.load()

    assert shelf.rows("SELECT item FROM raw.prices_row") == [("Nägel",)]
    assert "invalid UTF8" in report.refused["2026-02"]


@pytest.mark.parametrize("header", ["Unit\nprice", " unit  PRICE", "\ufeffUnit\u00a0price\u200b"])
def test_white_space_in_the_name_of_a_column_does_not_matter(header: str, tmp_path: Path) -> None:
    price = Column(type="DECIMAL(18, 2)", header="Unit price")
    shelf = Shelf(tmp_path, with_(PRICES, columns={"item": "TEXT", "price": price}))
    shelf.put("2026-01", f'item,"{header}"\nnails,1.50\n')
    shelf.load()

    assert shelf.rows("SELECT price::TEXT FROM raw.prices_row") == [("1.50",)]


def test_a_file_without_the_key_is_refused_with_what_it_has_on_one_line(tmp_path: Path) -> None:
    said = Shelf(tmp_path, PRICES).put("2026-01", "item;price\nnails;1\n")
    empty = Shelf(tmp_path, BINARY).put("2026-03", b"")
    more = Shelf(tmp_path, PRICES).put("2026-02", 'item,price,"in\nstock"\nnails,1,2\n')

    assert isinstance(said, Refused)
    assert said.reason.startswith("lacks the key column item; it has 'item;price'; expected the")
    assert isinstance(empty, Refused)
    assert empty.reason.startswith("is empty (declaration")
    assert isinstance(more, Refused)
    assert more.reason.startswith("has also the column in stock; expected the columns")


def test_a_file_that_a_file_of_another_period_equals_comes_with_a_warning(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, PRICES)
    for key in ("2026-01", "2026-02"):
        shelf.put(key, "item,price\nnails,1\n")
    said = shelf.load().remarks
    shelf.declared = with_(PRICES, each="release")

    same = "has the same rows as the file of 2026-0{}: is it of its own period?"
    assert said == {"2026-01": [same.format(2)], "2026-02": [same.format(1)]}
    assert shelf.load().remarks == {}, "a release may well be as the one before it"


class _Redirects(BaseHTTPRequestHandler):
    """January is here, February elsewhere, and for March it sends the file of January."""

    protocol_version = "HTTP/1.1"
    places: Mapping[str, str] = {
        "/2026-02.csv": "/elsewhere/2026-02.csv?key=1",
        "/2026-03.csv": "/2026-01.csv",
    }

    def do_GET(self) -> None:
        place = self.places.get(self.path)
        self.send_response(200 if place is None else 302)
        body = b"item,price\nnails,1\n" if place is None else b""
        self.send_header("Content-Length", str(len(body)))
        if place is not None:
            self.send_header("Location", place)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_the_file_of_another_partition_behind_a_redirect_is_refused(tmp_path: Path) -> None:
    with QuietServer(("127.0.0.1", 0), _Redirects) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        base = f"http://127.0.0.1:{server.server_port}"
        source = SnapshotSource(
            PRICES, Settings(base=base, folder=None, since="2026-01", accept=())
        )
        request = PartitionsRequest(known={}, now=datetime(2026, 3, 20, tzinfo=UTC))
        found = [
            source.fetch(FetchRequest(partition=one, known=None, directory=tmp_path))
            for one in source.partitions(request)
        ]
        server.shutdown()

    assert [type(one) for one in found] == [Fetched, Fetched, Refused]
    assert isinstance(found[2], Refused)
    assert found[2].reason == f"is the file of 2026-01: the server redirects to {base}/2026-01.csv"


def test_a_missing_reader_of_workbooks_is_found_when_the_source_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(tmp_path, with_(PRICES, form=Excel()))
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(ConfigError, match=r"sources\.prices has workbooks, and python-calamine"):
        shelf.open()

    monkeypatch.setitem(sys.modules, "duckdb", None)
    shelf.open()  # on a machine that only fetches
