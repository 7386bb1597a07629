"""A release asked of the raw layer: by the macro `as_of`, and by the view with a column."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest
from fakes.psd import ALL, COFFEE, balance, balances
from fakes.releases import Releases

Ask = Callable[[str], list[tuple[object, ...]]]
COFFEES = "psd_coffee_csv.zip"
FILE = "Commodity_Code, Commodity_Description, Country_Code, Country_Name, Market_Year, "
FILE += (
    "Calendar_Year, Month, Attribute_ID, Attribute_Description, Unit_ID, Unit_Description, Value"
)
KNOWN = "from 2018-12 to 2019-05"


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Releases:
    """Three releases of one archive, and one of another; 2019-01 was never released."""
    made = Releases(tmp_path_factory.mktemp("releases"))
    for month in ("2018-12", "2019-02", "2019-05"):
        made.publish(month, balances(month, years=(2017, 2018), seed=int(month[5:])), ALL)
    coffee = balance(COFFEE, "BR", 2018, "2019-02", {"029": 40, "053": 20})
    made.publish("2019-02", coffee, COFFEES)
    made.load()
    return made


@pytest.fixture
def renamed(releases: Releases, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy under another name, attached to an analyst's own database."""
    copy = tmp_path / "of last week.db"
    shutil.copyfile(releases.database, copy)
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{copy}' AS mine (READ_ONLY)")
        yield connection


@pytest.mark.parametrize("month", ["2018-12", "2019-02", "2019-05"])
def test_the_view_has_each_release_row_for_row(releases: Releases, month: str) -> None:
    for file in ("psd_alldata", "psd_coffee"):
        if (month, f"{file}_csv.zip") not in releases.files:
            continue
        believed = releases.ask(
            f"SELECT {FILE} FROM as_of('{month}', file := '{file}') ORDER BY ALL"
        )
        found = releases.ask(
            f"SELECT {FILE} FROM raw.psd_by_release "
            f"WHERE release = DATE '{month}-01' AND archive = '{file}' ORDER BY ALL"
        )

        assert found == believed
        assert len(found) > 10


def test_an_attached_copy_of_another_name_answers_for_a_release(
    releases: Releases, renamed: duckdb.DuckDBPyConnection
) -> None:
    asked = f"SELECT {FILE} FROM mine.raw.psd_by_release WHERE release = DATE '2019-02-01'"

    assert sorted(renamed.execute(asked).fetchall(), key=repr) == sorted(
        releases.ask(
            f"SELECT {FILE} FROM as_of('2019-02', file := 'psd_alldata') "
            f"UNION ALL SELECT {FILE} FROM as_of('2019-02', file := 'psd_coffee')"
        ),
        key=repr,
    )


def test_the_path_of_a_figure_is_one_query_in_an_attached_copy(
    releases: Releases, renamed: duckdb.DuckDBPyConnection
) -> None:
    figure = "Commodity_Code = '0410000' AND Country_Code = 'US' AND Market_Year = 2018 "
    figure += "AND Attribute_ID = '028'"
    path = renamed.execute(
        f"SELECT release, Value FROM mine.raw.psd_by_release WHERE {figure} ORDER BY release"
    ).fetchall()

    assert path == [
        (date.fromisoformat(f"{month}-01"), *row)
        for month in ("2018-12", "2019-02", "2019-05")
        for row in releases.ask(f"SELECT Value FROM as_of('{month}') WHERE {figure}")
    ]
    assert len({value for _, value in path}) == 3


@pytest.mark.parametrize(
    ("asked", "answers"),
    [
        ("'2019-01'", "2018-12"),
        ("'2019-01-31'", "2018-12"),
        ("DATE '2019-04-30'", "2019-02"),
        ("TIMESTAMP '2019-05-01 00:00:00'", "2019-05"),
        ("current_date", "2019-05"),
    ],
)
def test_a_month_without_a_release_is_answered_by_the_one_before(
    releases: Releases, asked: str, answers: str
) -> None:
    rows = "SELECT * FROM as_of({}, file := 'psd_alldata') ORDER BY ALL"

    assert releases.ask(rows.format(asked)) == releases.ask(rows.format(f"'{answers}'"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("'2019'", f"'2019' is not a month; give one such as '2024-05' or a date, {KNOWN}"),
        ("201905", f"'201905' is not a month; give one such as '2024-05' or a date, {KNOWN}"),
        ("'2019-13'", "'2019-13' is not a month"),
        ("'2019/05'", "'2019/05' is not a month"),
        ("'2019-05x'", "'2019-05x' is not a month"),
        ("'May'", "'May' is not a month"),
        ("NULL", "'NULL' is not a month"),
        ("'2018-11'", f"no release for 2018-11; give a month {KNOWN}"),
        ("'9999-12'", f"no release for 9999-12; give a month {KNOWN}"),
        (
            "'2019-05', file := 'psd_aldata'",
            "no release of the file 'psd_aldata' is loaded; loaded are psd_alldata, psd_coffee",
        ),
        (
            "'2018-12', file := 'psd_coffee'",
            "no release for 2018-12; give a month from 2019-02 to 2019-02",
        ),
    ],
)
def test_what_no_release_answers_is_an_error_that_names_what_can_be_asked(
    releases: Releases, asked: str, said: str
) -> None:
    with pytest.raises(duckdb.Error, match="as_of: ") as raised:
        releases.ask(f"SELECT count(*) FROM as_of({asked})")

    assert said in str(raised.value)


def test_nothing_loaded_is_said(tmp_path: Path) -> None:
    releases = Releases(tmp_path)
    releases.load()

    with pytest.raises(duckdb.Error, match="as_of: no release is loaded"):
        releases.ask("FROM as_of('2019-05')")


def test_a_forecast_is_carried_forward_through_months_without_a_release(releases: Releases) -> None:
    months = releases.ask(
        "SELECT month, release FROM raw.psd_forecast WHERE commodity_code <> '0711100' "
        "GROUP BY ALL ORDER BY month"
    )

    assert [(f"{month}"[:7], f"{release}"[:7]) for month, release in months] == [
        ("2018-12", "2018-12"),
        ("2019-01", "2018-12"),
        ("2019-02", "2019-02"),
        ("2019-03", "2019-02"),
        ("2019-04", "2019-02"),
        ("2019-05", "2019-05"),
    ]


@pytest.mark.parametrize("month", ["2018-12", "2019-02", "2019-05"])
def test_a_forecast_of_a_month_is_the_release_in_todays_labelling(
    releases: Releases, month: str
) -> None:
    figures = "Commodity_Code, Country_Code, Market_Year, Attribute_ID::SMALLINT, Value"
    believed = releases.ask(
        f"SELECT {figures} FROM as_of('{month}', file := 'psd_alldata') "
        "WHERE Commodity_Code <> '0711100' ORDER BY ALL"
    )
    found = releases.ask(
        "SELECT commodity_code, country_code, market_year, attribute_id, value "
        f"FROM raw.psd_forecast WHERE month = DATE '{month}-01' "
        "AND commodity_code <> '0711100' ORDER BY ALL"
    )

    assert found == believed
    assert len(found) > 10


def test_a_balance_as_of_a_month_has_other_uses_and_the_unit(releases: Releases) -> None:
    [row] = releases.ask(
        "SELECT production, other_use, quantity_unit_id IS NOT NULL FROM raw.psd_balance_as_of "
        "WHERE month = DATE '2019-01-01' AND market_year = 2018 "
        "ORDER BY commodity_code, country_code LIMIT 1"
    )
    [figure] = releases.ask(
        "SELECT value FROM raw.psd_forecast WHERE month = DATE '2019-01-01' AND attribute_id = 28 "
        "AND market_year = 2018 ORDER BY commodity_code, country_code LIMIT 1"
    )

    assert row == (figure[0], 0, True)
