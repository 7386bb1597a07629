"""Files that would fill memory or disk, or that a reader would lose rows of, are refused."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from fakes.snapshot_files import PRICES, Shelf, gzipped, with_
from materia.data import Fetched, Refused
from materia_snapshots import Column, Csv, JsonLines, Listed, Parquet, Years

EVOLVES = with_(PRICES, schema="evolve")
LONG = "x" * (1 << 20)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_that_no_row_can_have_is_refused_wherever_it_is(end: str, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, with_(PRICES, form=Csv(packed="gzip")))
    rows = [f"nail {number},1" for number in range(200_000)]
    good = shelf.put("2026-01", gzipped(end.join(["item,price", *rows]).encode()))
    lines = ["item,price", *rows[:9], f"{LONG}{LONG},1", *rows[9:19]]
    bad = shelf.put("2026-02", gzipped(end.join(lines).encode()))

    assert isinstance(good, Fetched)
    assert isinstance(bad, Refused)
    assert "has more than 2,000,000 characters" in bad.reason


def test_a_value_with_line_ends_that_is_too_long_is_refused_with_its_line(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, with_(PRICES, form=Csv(packed="gzip")))
    value = (LONG[:99_999] + "\n") * 30
    shelf.put("2026-01", gzipped(f'item,price\nnails,1\n"{value}",2\nscrews,3\n'.encode()))
    said = shelf.load().refused["2026-01"]

    assert "line 3 cannot be read: Maximum line size of 2000000 bytes exceeded" in said


def test_a_file_with_thousands_of_columns_is_refused_whatever_the_contract(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(2_100)]
    shelf = Shelf(tmp_path, EVOLVES)
    said = shelf.put("2026-01", f"item,price,{','.join(names)}\n")
    lines = Shelf(tmp_path, with_(EVOLVES, form=JsonLines()))
    lines.put("2026-02", "".join(f'{{"item": "a", "{name}": 1}}\n' for name in names))

    assert isinstance(said, Refused)
    assert said.reason.startswith("has more than 2,000 columns; expected the columns item,price")
    assert "has more than 2,000 columns" in lines.load().refused["2026-02"]


def test_many_new_columns_are_named_in_part(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(99)]
    said = Shelf(tmp_path, PRICES).put("2026-01", f"item,price,{','.join(names)}\n")

    assert isinstance(said, Refused)
    assert "c18, c19 and 79 more; expected" in said.reason


def test_a_column_without_a_name_is_named_so_and_can_be_ignored(tmp_path: Path) -> None:
    trailing = "item,price,\nnails,1,\n"
    said = Shelf(tmp_path, PRICES).put("2026-01", trailing)
    shelf = Shelf(tmp_path, with_(PRICES, ignore=("",)))
    shelf.put("2026-01", trailing)

    assert isinstance(said, Refused)
    assert said.reason.startswith("has also the column '' (it has no name); expected the columns")
    assert shelf.load().refused == {}


@pytest.mark.parametrize("encoding", ["latin-1", "windows-1252"])
@pytest.mark.parametrize("begin", ["", "\ufeff"])
def test_a_file_in_utf_8_is_not_read_in_another_encoding(
    encoding: str, begin: str, tmp_path: Path
) -> None:
    shelf = Shelf(tmp_path, with_(PRICES, form=Csv(encoding=encoding)))  # type: ignore[arg-type]
    row = "nails,1" if begin else "N\u00e4gel,1"
    refused = shelf.put("2026-01", f"{begin}item,price\n{row}\n".encode())
    shelf.put("2026-02", "item,price\nnails,1\n")
    shelf.put("2026-03", "item,price\nN\u00e4gel,1\n".encode(encoding))

    assert isinstance(refused, Refused)
    assert refused.reason.startswith(f"is utf-8, and not {encoding}: its letters would come out")
    assert shelf.load().loaded == ("2026-02", "2026-03")
    assert shelf.rows("SELECT item FROM raw.prices_row ORDER BY 1") == [("N\u00e4gel",), ("nails",)]


BOMBS = {
    "rows": "SELECT 'a' AS item, 1 AS price FROM range(600)",
    "values": "SELECT repeat('a', 100) AS item, 1 AS price FROM range(10)",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_parquet_that_holds_more_than_the_limit_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "made.parquet"
    shelf = Shelf(tmp_path, with_(PRICES, form=Parquet(), most_bytes=1_000))
    for key, sql in {"2026-01": BOMBS[kind], "2026-02": "SELECT 'a' AS item, 1 AS price"}.items():
        duckdb.execute(f"COPY ({sql}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
        assert isinstance(shelf.put(key, path.read_bytes()), Fetched)
    report = shelf.load()

    assert report.loaded == ("2026-02",)
    assert "has values of more than 1,000 bytes when it is unpacked" in report.refused["2026-01"]


DECLARED: dict[str, dict[str, object]] = {
    "at most 38 digits, .*, is 'DECIMAL\\(40, 2\\)'": {
        "columns": {"item": "TEXT", "price": "DECIMAL(40, 2)"}
    },
    "is 'DECIMAL\\(4, 5\\)'": {"columns": {"item": "TEXT", "price": "DECIMAL(4, 5)"}},
    "is 'DECIMAL\\(0, 0\\)'": {"columns": {"item": "TEXT", "price": "DECIMAL(0, 0)"}},
    "must be TEXT, INTEGER, BIGINT, .* or BOOLEAN, is 'FLOAT'": {
        "columns": {"item": "TEXT", "price": "FLOAT"}
    },
    "each must be one of 'slice', 'release', is 'releases'": {"each": "releases"},
    "schema must be one of 'refuse', 'ask', 'evolve', is 'evolves'": {"schema": "evolves"},
    "packed must be one of '', 'zip', 'gzip', is 'tar'": {"form": Csv(packed="tar")},  # type: ignore[arg-type]
    "encoding must be one of .* is 'cp1252'": {"form": Csv(encoding="cp1252")},  # type: ignore[arg-type]
    "form must be a form such as Csv\\(\\), is <class": {"form": Csv},
    "skip must be 0 or more, is -1": {"form": Csv(skip=-1)},
    "since must be text, is 2026": {"partitions": Years("{year}", since=2026)},  # type: ignore[arg-type]
    "key must be a tuple, as \\('item',\\), is 'item'": {"key": "item"},
    "keys must be a tuple, as \\('a',\\)": {"partitions": Listed("{key}", keys=("a"))},  # type: ignore[arg-type]
    "format of day must be that of a DATE, such as %d.%m.%Y, is 'dd.mm.yyyy'": {
        "columns": {"item": "TEXT", "day": Column(type="DATE", format="dd.mm.yyyy")}
    },
    "keys must name at least one file": {"partitions": Listed("{key}", keys=())},
    "plain name, .*, is '../x'": {"partitions": Listed("{key}", keys=("a", "../x"))},
    "plain name, .*, is ''": {"partitions": Listed("{key}", keys=("",))},
    "the delimiter must be one character, is '||'": {"form": Csv(delimiter="||")},
}


@pytest.mark.parametrize("said", DECLARED)
def test_a_declaration_that_no_table_can_have_says_what_can_be_written(said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("||", r"\|\|")):
        with_(PRICES, **DECLARED[said])
