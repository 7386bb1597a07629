"""What no release can hold is refused with its line; what is odd and in no doubt is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fakes.examples import of_each_kind
from fakes.psd import ALL, balances, csv_text, zip_rows, zip_text
from fakes.psd_damage import IMPOSSIBLE, ODD
from fakes.releases import Releases
from materia_psdonline.release_file.archive import check
from materia_psdonline.release_file.limits import is_sum

NOVEMBER = balances("2025-11", years=range(2023, 2026))
OCTOBER = balances("2025-10", years=range(2023, 2026))
# Of every check one, where it is not the whole release that is read.
SHOWN = (
    *(
        "a later release",
        "a figure of 10^12",
        "market year 9999",
        "the world",
        "a year with a sign",
    ),
    *("a code of three letters", "NUL in a name", "a low line in a value", "five decimals"),
)


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    return Releases(tmp_path)


def newest(releases: Releases) -> list[tuple[object, ...]]:
    return releases.ask(
        "FROM as_of(current_date) ORDER BY Commodity_Code, Country_Code, Market_Year, Attribute_ID"
    )


@pytest.mark.parametrize("how", IMPOSSIBLE)
def test_what_no_release_can_hold_is_refused_with_its_line(releases: Releases, how: str) -> None:
    make, words = IMPOSSIBLE[how]
    releases.keep("2025-11", make(NOVEMBER))

    (reason,) = releases.load().refused.values()

    assert reason.startswith("https://example.test/2025-11/psd_alldata: ")
    assert re.search(r"\bline \d", reason)
    assert words in reason


@pytest.mark.parametrize("how", of_each_kind(IMPOSSIBLE, *SHOWN))
def test_it_is_refused_too_where_only_what_changed_is_read(releases: Releases, how: str) -> None:
    releases.publish("2025-10", OCTOBER)
    releases.load()
    before = newest(releases)
    make, words = IMPOSSIBLE[how]
    releases.keep("2025-11", make(NOVEMBER))

    report = releases.load()

    assert list(report.refused) == ["2025-11/psd_alldata"]
    assert words in report.refused["2025-11/psd_alldata"]
    assert newest(releases) == before
    assert not report.remarks


@pytest.mark.parametrize(
    "name",
    [
        *("South Africa", "South Africa, Republic of", "Central African Republic"),
        *("American Samoa", "Other Pacific Islands", "Western Sahara", "French West Indies"),
        *("Union of Soviet Socialist Repu", "Korea, South", "European Union", "Equatorial Guinea"),
    ],
)
def test_no_country_is_taken_for_a_sum(name: str) -> None:
    assert not is_sum("XX", name)


@pytest.mark.parametrize(
    "name",
    [
        *("World", "WORLD  TOTAL", "Worldwide", "Global", "Grand Total", "Subtotal", "Sum of all"),
        *("Rest of World", "Others", "All Others", "Other Countries", "Total Foreign", "FSU-12"),
        *("Africa", "North Africa", "Asia", "South-East Asia", "Latin America", "Eastern Europe"),
        *("Selected Exporters", "Major Importers", "Sub-Saharan Africa", "All other countries"),
    ],
)
def test_sums_are_known_by_their_names(name: str) -> None:
    assert is_sum("XX", name)


def test_a_release_at_the_address_of_an_older_month_is_refused(releases: Releases) -> None:
    """Though not one of its lines differs from the newer release that is loaded."""
    releases.publish("2025-11", NOVEMBER)
    releases.load()
    releases.publish("2025-08", NOVEMBER)

    (reason,) = releases.load().refused.values()

    assert "holds balances edited in 2025-11, after its own month 2025-08" in reason
    assert "line 2 was edited in 2025-11 (commodity 0440000, country BR, market year" in reason
    assert f"also lines 3, 4 and {len(NOVEMBER) - 3} more" in reason
    assert releases.ask("SELECT DISTINCT release::VARCHAR FROM raw.psd_by_release") == [
        ("2025-11-01",)
    ]


def test_one_balance_of_a_newer_release_is_found_in_an_older_one(releases: Releases) -> None:
    """The newer release is loaded first, so that nothing but what it lacks is read."""
    releases.publish("2025-11", NOVEMBER)
    releases.load()
    one = [row for row in NOVEMBER if (row.country, row.market_year) == ("US", 2025)]
    others = [row for row in OCTOBER if (row.country, row.market_year) != ("US", 2025)]
    releases.publish("2025-10", [*others, *one])

    (reason,) = releases.load().refused.values()

    assert "edited in 2025-11, after its own month 2025-10" in reason


def test_stamps_of_month_00_are_of_no_release(releases: Releases) -> None:
    text = re.sub(rb",2025,11,", b",2026,00,", csv_text(NOVEMBER))
    releases.keep("2025-11", zip_text(text))

    assert not releases.load().refused


def test_the_largest_and_the_oldest_that_are_possible_are_kept(releases: Releases) -> None:
    text = csv_text(NOVEMBER)
    text = re.sub(rb",\d+\.0000\r", b",999999999999.9999\r", text, count=1)
    text = re.sub(rb'",2025,2025,11,', b'",2100,1900,11,', text)
    releases.keep("2025-11", zip_text(text))

    assert not releases.load().refused
    assert releases.ask(
        "SELECT max(Value)::VARCHAR, max(Market_Year), min(Calendar_Year) FROM as_of('2025-11')"
    ) == [("999999999999.9999", 2100, 1900)]


@pytest.mark.parametrize("value", [b"-7.0000", b"7", b"0", b"007.5", b"7.", b""])
def test_plain_numbers_are_read(releases: Releases, value: bytes) -> None:
    releases.keep(
        "2025-11",
        zip_text(re.sub(rb",[\d.]+\r", b"," + value + b"\r", csv_text(NOVEMBER), count=1)),
    )

    assert not releases.load().refused


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    """The rows of November, as they are read from a file of the usual form."""
    releases = Releases(tmp_path_factory.mktemp("plain"))
    releases.keep("2025-11", zip_rows(NOVEMBER))
    releases.load()
    return newest(releases)


@pytest.mark.parametrize("how", ODD)
def test_what_any_reader_takes_without_doubt_is_read(
    releases: Releases, plain: list[tuple[object, ...]], how: str
) -> None:
    releases.keep("2025-11", ODD[how](csv_text(NOVEMBER)))
    (path,) = releases.paths.values()

    assert check(path, ALL)
    assert not releases.load().refused
    assert newest(releases) == plain


@pytest.mark.parametrize(
    "how",
    of_each_kind(
        ODD,
        *("a byte order mark", "line feeds below the header", "every third a line feed"),
        *("two members and a folder of macOS", "blank lines at the end"),
    ),
)
def test_it_is_read_too_beside_a_plain_month(releases: Releases, how: str) -> None:
    releases.publish("2025-10", OCTOBER)
    releases.keep("2025-11", ODD[how](csv_text(NOVEMBER)))
    later = [*NOVEMBER[:-7], *balances("2025-12", years=[2026])]
    releases.publish("2025-12", later)

    assert not releases.load().refused

    for month, rows in (("2025-10", OCTOBER), ("2025-11", NOVEMBER), ("2025-12", later)):
        assert releases.ask(f"SELECT count(*), sum(Value)::DOUBLE FROM as_of('{month}')") == [
            (len(rows), pytest.approx(sum(row.value for row in rows)))
        ]


def test_a_line_end_within_a_name_is_kept_when_lines_end_in_two_ways(releases: Releases) -> None:
    text = csv_text(NOVEMBER).replace(b'"Brazil"', b'"Bra\r\nzil"')
    releases.keep("2025-11", zip_text(text.replace(b"\r\n0440000", b"\n0440000", 3)))

    assert not releases.load().refused
    assert releases.ask(
        "SELECT DISTINCT Country_Name FROM as_of('2025-11') WHERE Country_Code = 'BR'"
    ) == [("Bra\r\nzil",)]
