"""Loading: what is refused and why, what a load changes, and what it leaves alone."""

from __future__ import annotations

import hashlib
import re
import signal
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import product
from pathlib import Path

import duckdb
import pytest
from fakes.examples import of_each_kind
from fakes.psd import ALL, Row, balances, csv_text, zip_rows, zip_text
from materia.data import LoadReport, LoadRequest, RawFile
from materia_psdonline.raw_layer.load import load
from materia_psdonline.release_file.archive import HEADER

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "psdonline"
OCTOBER = balances("2025-10", years=range(2023, 2026))


class Kept:
    """Files as a sink keeps them, and a database to load them into."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.database = directory / "materia.duckdb"
        self.files: dict[str, RawFile] = {}

    def keep(self, month: str, content: bytes, file: str = ALL) -> None:
        sha256 = hashlib.sha256(content).hexdigest()
        (self.directory / sha256).write_bytes(content)
        self.files[month] = RawFile(
            partition=f"{month}/{file.removesuffix('_csv.zip')}",
            file=file,
            url=f"https://example.test/{month}/{file}",
            sha256=sha256,
            content=sha256,
            size=len(content),
            etag=None,
            last_modified=None,
            fetched_at=datetime(2025, 1, 1, tzinfo=UTC),
        )

    def keep_rows(self, month: str, rows: list[Row]) -> None:
        self.keep(month, zip_text(csv_text(rows)))

    def request(self, published: Path | None = None) -> LoadRequest:
        return LoadRequest(
            database=self.database,
            files=tuple(self.files[month] for month in sorted(self.files)),
            find=lambda _partition, _file, sha256: self.directory / sha256,
            directory=self.directory,
            published=published,
        )

    def load(self, published: Path | None = None) -> LoadReport:
        return load(self.request(published))

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(self.database), read_only=True) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def edited(pattern: bytes, new: bytes, *, all_of_them: bool = False) -> bytes:
    """October's text with the first line that has *pattern* changed, or with each."""
    text, count = re.subn(pattern, new, csv_text(OCTOBER), count=0 if all_of_them else 1)
    assert count
    return text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (edited(rb"\n0440000", b"\n440000"), "has '440000' as a commodity code"),
        (edited(rb",04,", b",4,"), "has '4' as a unit code"),
        (edited(rb",2025,10,", b",2025,13,"), "has '13' as a month code"),
        (edited(rb",BR,", b",,"), "has '' as a country code, expected two capitals"),
        (
            edited(rb"(\d)\.0000\r", rb"\1.00001\r"),
            "has a value with 5 decimals, expected at most 4",
        ),
        (edited(rb"(\d)\.0000\r", rb"\1e-7\r"), "as a value, expected a plain number"),
        (
            edited(rb",2023,2025,", rb",2023,2025.4,"),
            "line 2 has '2025.4' as Calendar_Year, expected four digits",
        ),
        (edited(rb"(\d)\.0000\r", rb"\1.00x\r"), ".00x' as a value, expected a plain number"),
        (edited(rb",2023,2025,", b",MMXXIII,2025,"), "line 2 has 'MMXXIII' as Market_Year"),
        (
            edited(rb'"Brazil"', b'"Brasil"'),
            "describes the country BR as 'Brazil', and a line above it as 'Brasil'",
        ),
        (edited(rb",0\d,\"\(1000 HA\)\",[\d.]+\r\n", b"\r\n"), "line 2 has 9 fields, expected 12"),
        (edited(rb",2023,2025,10,004", b",2024,2025,10,004"), "2 rows for commodity 0440000"),
        (csv_text([*OCTOBER, OCTOBER[0]]), "has 2 rows for commodity"),
        (csv_text([*OCTOBER, replace(OCTOBER[0], value=1)]), "market year 2023, attribute 004"),
    ],
)
@pytest.mark.parametrize(
    "comes",
    of_each_kind(["alone", "after a good month", "before a good month"], "after a good month"),
)
def test_what_cannot_be_kept_exactly_is_refused_and_harms_no_other_month(
    kept: Kept, text: bytes, reason: str, comes: str
) -> None:
    kept.keep("2025-10", zip_text(text))
    if comes != "alone":
        other = "2025-09" if comes.startswith("after") else "2025-11"
        kept.keep_rows(other, [replace(row, stamp=other) for row in OCTOBER])

    report = kept.load()

    assert list(report.refused) == ["2025-10/psd_alldata"]
    (reason_given,) = report.refused.values()
    assert "https://example.test/2025-10/psd_alldata_csv.zip" in reason_given
    assert reason in reason_given
    assert kept.ask("SELECT count(*) FROM raw.psd_release") == [(0 if comes == "alone" else 1,)]
    if comes != "alone":
        assert kept.ask("SELECT count(*) FROM as_of('2026-01')") == [(len(OCTOBER),)]


def test_a_line_that_cannot_be_read_is_shown_with_what_is_wrong(kept: Kept) -> None:
    lines = csv_text(OCTOBER).splitlines(keepends=True)
    kept.keep("2025-10", zip_text(b"".join(lines) + lines[1].rpartition(b",")[0] + b",many\r\n"))

    (reason,) = kept.load().refused.values()

    assert f"line {len(lines) + 1:,} has 'many' as a value, expected a plain number" in reason


def test_a_month_that_changes_changes_only_what_differs(kept: Kept) -> None:
    kept.keep_rows("2025-10", OCTOBER)
    kept.keep_rows("2025-11", OCTOBER)
    kept.load()
    published = kept.directory / "published.duckdb"
    published.write_bytes(kept.database.read_bytes())
    revised = [
        replace(row, stamp="2025-11", value=row.value + 1) if row.attribute == "028" else row
        for row in OCTOBER
    ]
    kept.keep_rows("2025-11", revised)

    report = kept.load(published)

    changed = sum(row.attribute == "028" for row in OCTOBER)
    # The other rows of those balances kept their older stamp, so they carry it themselves now.
    assert (report.loaded, report.removed) == (("2025-11/psd_alldata",), ())
    assert report.rows_added == report.rows_ended == len(OCTOBER)
    assert report.affected == (date(2025, 11, 1),)
    values = Counter(value for (value,) in kept.ask("SELECT Value FROM as_of('2025-11')"))
    assert values == Counter(Decimal(str(row.value)) for row in revised)
    assert changed


def test_a_release_can_be_asked_for_one_of_its_archives(kept: Kept) -> None:
    kept.keep_rows("2025-10", OCTOBER)
    kept.load()
    other = "psd_grains_pulses_csv.zip"
    kept.files["grains"] = kept.files.pop("2025-10")
    kept.keep("2025-10", zip_rows(OCTOBER[:7], other), other)
    kept.load()

    def rows(arguments: str) -> int:
        ((count,),) = kept.ask(f"SELECT count(*) FROM as_of({arguments})")
        return int(str(count))

    assert rows("'2025-10', file := 'psd_grains_pulses'") == 7
    assert rows("'2025-10', file := 'psd_alldata'") == len(OCTOBER)
    assert rows("DATE '2025-10-01'") == len(OCTOBER) + 7


def test_a_new_stamp_alone_is_kept_once_a_balance(kept: Kept) -> None:
    kept.keep_rows("2025-10", OCTOBER)
    kept.keep_rows("2025-11", [replace(row, stamp="2025-11") for row in OCTOBER])

    report = kept.load()

    balance_count = len({(row.commodity, row.country, row.market_year) for row in OCTOBER})
    assert kept.ask("SELECT count(*) FROM raw.psd_value_ended") == [(0,)]
    assert kept.ask("SELECT count(*) FROM raw.psd_stamp_ended") == [(balance_count,)]
    assert kept.ask("SELECT DISTINCT Calendar_Year, Month FROM as_of('2025-11')") == [(2025, "11")]
    assert kept.ask("SELECT DISTINCT Calendar_Year, Month FROM as_of('2025-10')") == [(2025, "10")]
    assert report.loaded == ("2025-10/psd_alldata", "2025-11/psd_alldata")


def test_a_release_in_the_middle_concerns_itself_and_the_next_one(kept: Kept) -> None:
    for month in ("2025-06", "2025-08", "2025-09"):
        kept.keep_rows(month, balances(month, seed=int(month[-1])))
    kept.load()
    published = kept.directory / "published.duckdb"
    published.write_bytes(kept.database.read_bytes())
    kept.keep_rows("2025-07", balances("2025-07", seed=7))

    assert kept.load(published).affected == (date(2025, 7, 1), date(2025, 8, 1))
    del kept.files["2025-08"]
    assert kept.load(published).affected == (date(2025, 7, 1), date(2025, 8, 1), date(2025, 9, 1))


def large_text(seed: int, *, edited_every: int = 0) -> bytes:
    """144,000 lines, more than DuckDB writes in one piece; *seed* gives nearly all other values."""
    return b"\r\n".join(
        [
            HEADER,
            *(
                b'%07d,"C",%s,"K",%d,2018,05,%03d,"A",08,"(1000 MT)",%d.0000'
                % (410000 + commodity, country, year, attribute, value)
                for number, (commodity, country, year, attribute) in enumerate(
                    product(
                        range(8), (b"A%d" % k for k in range(10)), range(1900, 2100), range(1, 10)
                    ),
                )
                for value in [7 if edited_every and number % edited_every == 0 else number * seed]
            ),
            b"",
        ]
    )


@pytest.mark.campaign
def test_large_releases_that_come_before_one_they_have_little_in_common_with(kept: Kept) -> None:
    texts = {
        "2025-11": large_text(2),
        "2019-01": large_text(1),
        "2019-02": large_text(1, edited_every=97),
        "2019-03": large_text(1, edited_every=101),
    }
    kept.keep("2025-11", zip_text(texts.pop("2025-11")))
    kept.load()
    for month, text in texts.items():
        kept.keep(month, zip_text(text))

    assert not kept.load().refused

    texts["2025-11"] = large_text(2)
    for month, text in texts.items():
        (kept.directory / "release.csv").write_bytes(text)
        said = "SELECT * REPLACE (Market_Year::INTEGER AS Market_Year, Value::DOUBLE AS Value)"
        differing = kept.ask(f"""
            WITH archive AS (
                {said} FROM read_csv('{kept.directory}/release.csv', all_varchar = true)
            ),
            ours AS (
                {said} FROM (
                    SELECT * REPLACE (Calendar_Year::VARCHAR AS Calendar_Year) FROM as_of('{month}')
                )
            )
            SELECT (SELECT count(*) FROM ours), count(*)
            FROM ((FROM archive EXCEPT ALL FROM ours) UNION ALL (FROM ours EXCEPT ALL FROM archive))
        """)
        assert differing == [(144_000, 0)], month


def test_what_a_killed_run_brought_and_the_next_took_back_is_affected(kept: Kept) -> None:
    kept.keep_rows("2025-06", balances("2025-06"))
    kept.load()
    published = kept.directory / "published.duckdb"
    published.write_bytes(kept.database.read_bytes())
    kept.keep_rows("2025-07", balances("2025-07", seed=7))
    kept.load(published)  # tables may have been built from this, and nothing was published
    del kept.files["2025-07"]

    assert kept.load(published).removed == ("2025-07/psd_alldata",)
    assert kept.load(published).affected == (date(2025, 7, 1),)


def test_coffee_of_older_releases_is_known_to_be_labelled_a_year_later(kept: Kept) -> None:
    old = balances("2022-12", commodities=["0711100"], years=[2001, 2002])
    kept.keep_rows("2022-12", [replace(row, stamp=f"{row.market_year - 1}-00") for row in old])
    kept.keep_rows("2023-12", [replace(row, stamp=f"{row.market_year}-00") for row in old])
    kept.load()

    assert kept.ask("SELECT release, coffee_year_shift FROM raw.psd_release ORDER BY ALL") == [
        (date(2022, 12, 1), -1),
        (date(2023, 12, 1), 0),
    ]


KILLED = """
import pickle, sys, os, signal
from pathlib import Path
from materia_psdonline.release_file.archive import HEADER
from materia_psdonline.raw_layer.load import load
from materia.data import LoadRequest
files, database, directory, after = pickle.loads(bytes.fromhex(sys.argv[1]))
def loaded(key, left):
    if left == after:
        os.kill(os.getpid(), signal.SIGKILL)
load(LoadRequest(database=database, files=files, directory=directory, loaded=loaded,
    find=lambda partition, file, sha256: directory / sha256))
"""


def test_a_load_that_was_killed_goes_on_where_it_stopped(kept: Kept) -> None:
    import pickle

    months = [f"2025-{number:02}" for number in range(1, 7)]
    for number, month in enumerate(months):
        kept.keep_rows(month, balances(month, seed=number))
    request = kept.request()
    for left in (4, 2):
        message = pickle.dumps((request.files, kept.database, kept.directory, left)).hex()
        ended = subprocess.run([sys.executable, "-c", KILLED, message], check=False)
        assert ended.returncode == -signal.SIGKILL

    assert kept.load().loaded == ("2025-05/psd_alldata", "2025-06/psd_alldata")
    for number, month in enumerate(months):
        found = Counter(kept.ask(f"SELECT Value FROM as_of('{month}')"))
        rows = balances(month, seed=number)
        assert found == Counter((Decimal(str(row.value)),) for row in rows)


@pytest.mark.parametrize(
    ("month", "file"),
    [
        ("2025-11", "psd_grains_pulses_csv.zip"),
        ("2025-11", "psd_eu_area_prod_csv.zip"),
        ("2025-11", "psd_russiabreakdown_area_prod_csv.zip"),
        ("2022-12", "psd_coffee_csv.zip"),
    ],
)
def test_a_real_archive_comes_back_row_for_row(kept: Kept, month: str, file: str) -> None:
    path = SHARED / "archives" / month.replace("-", "/") / file
    if not path.exists():
        pytest.skip(f"no real archive here: {path.name}")
    kept.keep(month, path.read_bytes(), file)

    assert kept.load().refused == {}

    with zipfile.ZipFile(path) as archive:
        archive.extractall(kept.directory)
    csv = kept.directory / file.replace("_csv.zip", ".csv")
    same: Callable[[str, str], str] = lambda left, right: (  # noqa: E731 -- twice the same query
        f"SELECT count(*) FROM (({left}) EXCEPT ALL ({right}))"
    )
    text = f"""
        SELECT * REPLACE (
            Market_Year::SMALLINT AS Market_Year, Calendar_Year::SMALLINT AS Calendar_Year,
            Value::DECIMAL(18, 4) AS Value
        ) FROM read_csv('{csv}', all_varchar = true)
    """
    loaded = f"FROM as_of('{month}')"
    assert kept.ask(same(text, loaded)) == kept.ask(same(loaded, text)) == [(0,)]
    assert kept.ask(f"SELECT count(*) > 100 {loaded}") == [(True,)]
