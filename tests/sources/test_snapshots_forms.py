"""Every form of file gives the same rows, and nothing that a server sends is believed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import duckdb
import pytest
from fakes.snapshot_files import NOW, PRICES, Shelf, gzipped, with_, zipped
from materia.data import Fetched, Known, PartitionsRequest, RawFile, Refused
from materia.errors import ConfigError
from materia.hookspecs import Opening
from materia_snapshots import Column, Csv, JsonLines, Listed, Months, Parquet, Weeks
from materia_snapshots.forms import Form
from materia_snapshots.loading.rows import read_rows

TYPED = with_(
    PRICES,
    key=("code",),
    columns={
        "code": "TEXT",
        "count": "INTEGER",
        "large": "BIGINT",
        "price": "DECIMAL(18, 4)",
        "rate": "DOUBLE",
        "on_day": Column(type="DATE", header="Day"),
        "open": "BOOLEAN",
        "name": "TEXT",
    },
)
CSV = (
    "code,count,large,price,rate,Day,open,name\n"
    '0410,1,9007199254740993,1.5,2.5e3,2026-01-31,true,"a ""b"", c"\n'
    "0411,-2,,0.1234000,.5,,no,\n"
)
ROWS = [
    ("0410", 1, 9007199254740993, "1.5000", 2500.0, "2026-01-31", True, 'a "b", c'),
    ("0411", -2, None, "0.1234", 0.5, None, False, None),
]
LINES = (
    '{"code": "0410", "count": 1, "large": 9007199254740993, "price": 1.5, "rate": 2.5e3, '
    '"Day": "2026-01-31", "open": true, "name": "a \\"b\\", c"}\n'
    '{"code": "0411", "count": -2, "price": "0.1234", "rate": 0.5, "open": false}\n'
)


def parquet(tmp_path: Path, sql: str) -> bytes:
    path = tmp_path / "made.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({sql}) TO '{path}' (FORMAT parquet)")
    return path.read_bytes()


def typed_parquet(tmp_path: Path) -> bytes:
    return parquet(
        tmp_path,
        "SELECT * FROM (VALUES "
        "('0410', 1, 9007199254740993, 1.5::DECIMAL(9,4), 2500.0::DOUBLE, DATE '2026-01-31', true, "
        "'a \"b\", c'), ('0411', -2, NULL, 0.1234, 0.5, NULL, false, NULL)) "
        't("code", "count", "large", "price", "rate", "Day", "open", "name")',
    )


FORMS: dict[str, tuple[Form, bytes]] = {
    "csv": (Csv(), CSV.encode()),
    "csv with a byte order mark and Windows line ends": (
        Csv(),
        b"\xef\xbb\xbf" + CSV.replace("\n", "\r\n").encode(),
    ),
    "csv with semicolons, a title and a word for missing": (
        Csv(delimiter=";", skip=2, missing=("N/A",)),
        (
            "Prices\n\n"
            + CSV.replace('"a ""b"", c"', "'")
            .replace(",", ";")
            .replace("'", '"a ""b"", c"')
            .replace(";;", ";N/A;")
        ).encode(),
    ),
    "csv in utf-16": (Csv(encoding="utf-16"), CSV.encode("utf-16")),
    "csv in a zip": (
        Csv(packed="zip"),
        zipped({"__MACOSX/x.csv": b"", "in/prices.CSV": CSV.encode()}),
    ),
    "csv in gzip": (Csv(packed="gzip"), gzipped(CSV.encode())),
    "json lines": (JsonLines(), LINES.encode()),
    "json lines in gzip": (JsonLines(packed="gzip"), gzipped(LINES.encode())),
    "json lines in a zip": (JsonLines(packed="zip"), zipped({"a.jsonl": LINES.encode()})),
}


def typed_rows(shelf: Shelf) -> list[tuple[object, ...]]:
    return shelf.rows(
        "SELECT code, count, large, price::VARCHAR, rate, on_day::VARCHAR, open, name "
        "FROM raw.prices_row ORDER BY code"
    )


@pytest.mark.parametrize("name", FORMS)
def test_each_form_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    form, content = FORMS[name]
    shelf = Shelf(tmp_path, with_(TYPED, form=form))

    assert isinstance(shelf.put("2026-01", content), Fetched)
    assert shelf.load().refused == {}
    assert typed_rows(shelf) == ROWS
    assert list(shelf.kept.iterdir()) == [shelf.kept / shelf.raw["2026-01"].sha256]


@pytest.mark.parametrize("packed", ["", "zip"])
def test_parquet_gives_the_same_rows(packed: str, tmp_path: Path) -> None:
    content = typed_parquet(tmp_path)
    form = Parquet(packed="zip") if packed else Parquet()
    shelf = Shelf(tmp_path, with_(TYPED, form=form))
    shelf.put("2026-01", zipped({"a.parquet": content}) if packed else content)

    assert shelf.load().refused == {}
    assert typed_rows(shelf) == ROWS


def test_the_same_rows_packed_otherwise_have_the_same_content(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, with_(PRICES, form=Csv(packed="zip")))
    shelf.put("2026-01", zipped({"a.csv": b"item,price\nnails,1.00\n"}))
    one = shelf.raw["2026-01"]
    shelf.load()
    shelf.put("2026-01", zipped({"b.csv": b"item,price\nnails,1.00\n"}, method=zipfile.ZIP_STORED))

    assert one.sha256 != shelf.raw["2026-01"].sha256
    assert one.content == shelf.raw["2026-01"].content
    assert shelf.load().loaded == ()


PLAIN = b"item,price\nnails,1.00\n"
ENCRYPTED = bytearray(zipped({"a.csv": PLAIN}))
for offset in (6, ENCRYPTED.index(b"PK\x01\x02") + 8):
    ENCRYPTED[offset] |= 1
LATER, BEFORE = (bytearray(zipped({"a.csv": PLAIN})) for _ in range(2))
LATER[LATER.index(b"PK\x01\x02") + 6] = 255
END = BEFORE.index(b"PK\x05\x06")
BEFORE[END + 16 : END + 20] = (3 * len(BEFORE)).to_bytes(4, "little")
FETCH_FAULTS: dict[str, tuple[Form, bytes, str]] = {
    "a web page": (
        Csv(),
        b"\n <!DOCTYPE html><html>moved",
        "HTML page, expected the columns item,price",
    ),
    "nothing": (Csv(), b"", "is empty"),
    "another encoding": (Csv(), b"item,price\nn\xe4gel,1\n", "byte 0xe4 in line 2 is not utf-8"),
    "utf-16 that nobody declared": (Csv(), "item,price\n".encode("utf-16-le"), "NUL character"),
    "no header": (Csv(skip=9), PLAIN, "no line with the names"),
    "another column": (
        Csv(),
        b"item,price,unit\na,1,kg\n",
        "has also the column unit; expected the",
    ),
    "a missing column": (Csv(), b"item\na\n", "lacks the column price"),
    "a missing key": (Csv(), b"price\n1\n", "lacks the key column item"),
    "a column twice": (Csv(), b"item,price,Price\na,1,2\n", "has the column price more than once"),
    "a page in place of a zip": (Csv(packed="zip"), b"<html>", "is an HTML page, not a zip"),
    "text in place of a zip": (Csv(packed="zip"), PLAIN, "is not a zip file"),
    "a zip cut short": (Csv(packed="zip"), zipped({"a.csv": PLAIN})[:60], "cut short or damaged"),
    "a zip with a wrong checksum": (
        Csv(packed="zip"),
        zipped({"a.csv": PLAIN}, method=zipfile.ZIP_STORED).replace(b"nails", b"tails"),
        "cut short or damaged: Bad CRC-32",
    ),
    "two members": (Csv(packed="zip"), zipped({"a.csv": PLAIN, "b.csv": PLAIN}), "has 2 members"),
    "no such member": (Csv(packed="zip"), zipped({"a.txt": PLAIN}), "has 0 members *.csv"),
    "a member elsewhere": (
        Csv(packed="zip"),
        zipped({"../../a.csv": PLAIN}),
        "a member outside of the archive",
    ),
    "an encrypted zip": (Csv(packed="zip"), bytes(ENCRYPTED), "is encrypted"),
    "another zip method": (
        Csv(packed="zip"),
        zipped({"a.csv": PLAIN}, method=zipfile.ZIP_LZMA),
        "the zip method 14",
    ),
    "a zip of a later version": (Csv(packed="zip"), bytes(LATER), "zip file version 25.5"),
    "a zip whose member is before its begin": (Csv(packed="zip"), bytes(BEFORE), "cut short or"),
    "a zip bomb": (Csv(packed="zip"), zipped({"a.csv": b"0\n" * (35 << 20)}), "a zip bomb"),
    "a gzip bomb": (Csv(packed="gzip"), gzipped(b"0\n" * (35 << 20)), "a zip bomb"),
    "a gzip cut short": (Csv(packed="gzip"), gzipped(PLAIN)[:-9], "cut short or damaged"),
    "a page in place of Parquet": (Parquet(), b"<html>", "HTML page, not a file of Parquet"),
    "text in place of Parquet": (Parquet(), PLAIN, "is not a file of Parquet"),
    "Parquet cut short": (Parquet(), b"PAR1" + b"\0" * 99, "cut short"),
}


@pytest.mark.parametrize("fault", FETCH_FAULTS)
def test_a_file_of_no_use_is_refused_when_it_is_fetched(fault: str, tmp_path: Path) -> None:
    form, content, said = FETCH_FAULTS[fault]
    result = Shelf(tmp_path, with_(PRICES, form=form)).put("2026-01", content)

    assert isinstance(result, Refused)
    assert said in result.reason


def test_a_file_that_unpacks_to_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    small = with_(PRICES, form=Csv(packed="gzip"), most_bytes=1000)
    result = Shelf(tmp_path, small).put("2026-01", gzipped(PLAIN * 100))

    assert isinstance(result, Refused)
    assert result.reason.startswith("has more than 1,000 bytes when it is unpacked")


LOAD_FAULTS = {
    "letters": (
        Csv(),
        "item,price\nnails,1\nscrews,cheap\n",
        "row 2: price is 'cheap', which is no number",
    ),
    "too many decimals": (
        Csv(),
        "item,price\nnails,1.005\n",
        "price is '1.005', which DECIMAL(18, 2) cannot hold exactly",
    ),
    "too large a number": (Csv(), f"item,price\nnails,{10**17}\n", "cannot hold exactly"),
    "an underscore": (Csv(), "item,price\nnails,1_0\n", "price is '1_0'"),
    "not a number": (Csv(), "item,price\nnails,nan\n", "price is 'nan'"),
    "the same key twice": (
        Csv(),
        "item,price\nnails,1\nnails,2\n",
        "has 2 rows for the key item nails",
    ),
    "no key": (Csv(), "item,price\n,1\n", "whose key column item is empty"),
    "a column too many": (Csv(), "item,price\nnails,1\nnails,1,2\n", "line 3 cannot be read"),
    "a column too few": (Csv(), "item,price\nnails,1\nscrews\n", "line 3 cannot be read"),
    "an open quote": (Csv(), 'item,price\n"nails,1\n', "cannot be read"),
    "no rows": (Csv(), "item,price\n", "has no rows"),
    "no JSON": (JsonLines(), '{"item": "nails"\n', "cannot be read"),
    "no object": (JsonLines(), '{"item": "nails", "price": 1}\n[1]\n', "is no JSON object: [1]"),
    "a name twice": (
        JsonLines(),
        '{"item": "nails", "price": 1, "price": 2}\n',
        "has a line that has a name twice",
    ),
    "another name": (
        JsonLines(),
        '{"item": "nails", "cost": 1}\n',
        "has also the column cost and lacks",
    ),
    "damaged Parquet": (Parquet(), "PAR1 and then PAR1", "cannot be read"),
}


@pytest.mark.parametrize("fault", LOAD_FAULTS)
def test_rows_of_no_use_are_refused_when_they_are_loaded_and_harm_no_other(
    fault: str, tmp_path: Path
) -> None:
    form, content, said = LOAD_FAULTS[fault]
    shelf = Shelf(tmp_path, with_(PRICES, form=form))
    good = {
        Csv: PLAIN,
        JsonLines: b'{"item": "nails", "price": 1.00}\n',
        Parquet: parquet(tmp_path, "SELECT 'nails' AS item, 1.00 AS price"),
    }[type(form)]
    for key in ("2026-01", "2026-02", "2026-03"):
        shelf.put(key, good)
    shelf.load()
    assert isinstance(shelf.put("2026-02", content), Fetched)
    report = shelf.load()

    assert set(report.refused) == {"2026-02"}
    assert said in report.refused["2026-02"]
    assert shelf.rows("SELECT partition, item, price::VARCHAR FROM raw.prices_row ORDER BY 1") == [
        (key, "nails", "1.00") for key in ("2026-01", "2026-02", "2026-03")
    ]


def test_a_date_has_the_form_of_its_column(tmp_path: Path) -> None:
    days = {"item": "TEXT", "price": Column(type="DATE", format="%d/%m/%Y")}
    shelf = Shelf(tmp_path, with_(PRICES, columns=days))
    shelf.put("2026-01", "item,price\nnails,31/01/2026\n")
    shelf.put("2026-02", "item,price\nnails,01/31/2026\n")
    report = shelf.load()

    assert shelf.rows("SELECT price::VARCHAR FROM raw.prices_row") == [("2026-01-31",)]
    assert "'01/31/2026', which is no date (DATE %d/%m/%Y)" in report.refused["2026-02"]


def test_a_list_of_files_has_a_partition_for_each(tmp_path: Path) -> None:
    listed = with_(PRICES, partitions=Listed("{key}/all.csv", ("north", "south")))
    shelf = Shelf(tmp_path, listed)
    for key in ("north", "south"):
        shelf.put(key, PLAIN)
    report = shelf.load()

    assert shelf.rows("SELECT partition, period FROM raw.prices_row ORDER BY 1") == [
        ("north", None),
        ("south", None),
    ]
    assert len(report.affected) == 1, "the day of the download"


def test_quotes_and_odd_line_ends_before_the_header_cost_no_row(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, with_(PRICES, form=Csv(skip=2)))
    heads = ('"Prices of\nthe month"\n', '"Prices\n\n', "Pri\x0cces\n\u2028\n")
    for month, head in enumerate(heads, 1):
        shelf.put(f"2026-0{month}", f"{head}item,price\nnails,1\nscrews,2\n")

    assert shelf.load().refused == {}
    assert shelf.rows("SELECT count(*) FROM raw.prices_row") == [(6,)]


def test_a_decimal_comma_is_declared_and_then_a_point_is_no_number(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, with_(PRICES, form=Csv(delimiter=";", decimal=",")))
    shelf.put("2026-01", "item;price\nnails;1,5\nscrews;-2\n")
    shelf.put("2026-02", "item;price\nnails;1.234\n")
    shelf.put("2026-03", "item;price\nnails;1.234,50\n")

    assert sorted(shelf.load().refused) == ["2026-02", "2026-03"]
    assert shelf.rows("SELECT price::VARCHAR FROM raw.prices_row ORDER BY item") == [
        ("1.50",),
        ("-2.00",),
    ]


def test_a_number_beyond_every_double_is_refused(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, with_(PRICES, columns={"item": "TEXT", "price": "DOUBLE"}))
    shelf.put("2026-01", "item,price\nnails,1e999\n")

    assert "price is '1e999'" in shelf.load().refused["2026-01"]


def test_a_full_memory_is_no_fault_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    rows = "".join(f"{number:064},1\n" for number in range(200_000))
    path.write_text(f"item,price\n{rows}")
    with (
        duckdb.connect(
            config={"memory_limit": "10MB", "max_temp_directory_size": "1MB", "threads": "1"}
        ) as connection,
        pytest.raises(duckdb.OutOfMemoryException),
    ):
        read_rows(connection, source=PRICES, form=Csv(), path=path, directory=tmp_path, accept=())


def test_each_file_of_a_list_is_asked_for_in_every_run() -> None:
    keys = ("east", "north", "south", "west")
    source = (
        with_(PRICES, partitions=Listed("{key}.csv", keys))
        .plugin()
        .open(Opening(secrets={}, settings={"url": "https://prices.example"}, directory=Path()))
    )
    known = {
        one.key: Known(
            url=one.url,
            checked_at=NOW,
            raw=RawFile(
                partition=one.key,
                file=one.file,
                url=one.url,
                sha256="0" * 64,
                content="rows",
                size=1,
                etag=None,
                last_modified=None,
                fetched_at=NOW,
            ),
        )
        for one in source.partitions(PartitionsRequest(known={}, now=NOW))
    }
    due = source.partitions(PartitionsRequest(known=known, now=NOW))

    assert [one.key for one in due] == list(keys)


def test_weeks_begin_at_the_declared_weekday_whatever_the_user_sets(tmp_path: Path) -> None:
    weekly = with_(PRICES, partitions=Weeks("{date}.csv", since="2026-01-02"))

    Shelf(tmp_path, weekly, since="2026-02-06").open()
    with pytest.raises(ConfigError, match="must be a Friday"):
        Shelf(tmp_path, weekly, since="2026-02-07").open()


DECLARED_WRONGLY: dict[str, dict[str, object]] = {
    "small letters": {"name": "Prices"},
    "since must be a month": {"partitions": Months("{year}.csv", since="2026")},
    "key must name columns": {"key": ("unit",)},
    "are materia's own": {"columns": {"item": "TEXT", "release": "DATE"}},
    "the type of price": {"columns": {"item": "TEXT", "price": "NUMBER"}},
    "the same header": {"columns": {"item": "TEXT", "thing": Column(type="TEXT", header="ITEM")}},
    "names one file for several": {"partitions": Months("{year}.csv", since="2026-01")},
    "cannot be filled in: KeyError": {"partitions": Months("{yaer}.csv", since="2026-01")},
    "is the column of odd values": {
        "schema": "evolve",
        "columns": {"item": "TEXT", "price": "DOUBLE", "price_text": "TEXT"},
    },
    "have no order of releases": {"each": "release", "partitions": Listed("{key}", ("a",))},
}


@pytest.mark.parametrize("said", DECLARED_WRONGLY)
def test_a_declaration_that_contradicts_itself_says_so(said: str) -> None:
    with pytest.raises(ValueError, match=said):
        with_(PRICES, **DECLARED_WRONGLY[said])
