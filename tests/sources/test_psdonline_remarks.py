"""What is remarked on releases that are loaded: losses, older releases, units, missing names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.psd import COFFEE, CORN, WHEAT, Row, balances, csv_text, zip_text
from fakes.releases import Releases

COUNTRIES = ("AR", "BR", "CA", "US", "VM")
YEARS = range(2016, 2026)
KEY = "2025-11/psd_alldata"


def release(month: str) -> list[Row]:
    """100 balances of two commodities; those of the newest year were edited in that month."""
    old = balances("2025-06", years=YEARS, countries=COUNTRIES)
    return [replace(row, stamp=month) if row.market_year == 2025 else row for row in old]


OCTOBER, NOVEMBER = release("2025-10"), release("2025-11")


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    return Releases(tmp_path)


def remarks_on(
    releases: Releases, *, november: list[Row], october: list[Row] = OCTOBER
) -> tuple[str, ...]:
    """What is said of November above a good October."""
    releases.publish("2025-10", october)
    assert not releases.load().remarks
    releases.keep_published()
    releases.publish("2025-11", november)
    report = releases.load()
    assert not report.refused
    assert set(report.remarks) <= {KEY}
    return tuple(report.remarks.get(KEY, ()))


def test_of_a_whole_release_nothing_is_said(releases: Releases) -> None:
    assert remarks_on(releases, november=NOVEMBER) == ()


def test_new_balances_countries_and_commodities_are_no_loss(releases: Releases) -> None:
    more = balances("2025-11", years=[2026], countries=["AS", "US"])
    coffee = balances("2025-11", years=[2025], commodities=[COFFEE])

    assert remarks_on(releases, november=[*NOVEMBER, *more, *coffee]) == ()


def test_half_of_the_rows_gone_is_said(releases: Releases) -> None:
    text = csv_text(NOVEMBER).splitlines()
    kept = set(text[1 : len(text) // 2 + 1])
    half = [row for row in NOVEMBER if row.line().rstrip() in kept]

    said = remarks_on(releases, november=half)

    assert "holds 50 balances where 2025-10 had 100 (50.0 %, expected at least 98 %)" in said
    assert "has no commodity 0410000 Wheat, which 2025-10 had" in said


def test_two_balances_in_a_hundred_may_go_and_three_may_not(releases: Releases) -> None:
    def without(*gone: tuple[str, int]) -> list[Row]:
        return [row for row in NOVEMBER if (row.country, row.market_year) not in gone]

    two = remarks_on(releases, november=without(("AR", 2020)))
    releases.publish("2025-11", NOVEMBER)
    releases.load()
    releases.keep_published()
    releases.publish("2025-11", without(("AR", 2020), ("BR", 2021)))
    four = releases.load().remarks[KEY]

    assert not any(said.startswith("holds") for said in two)
    assert four[0] == "holds 96 balances where 2025-10 had 100 (96.0 %, expected at least 98 %)"


LOSSES: dict[str, tuple[Callable[[Row], bool], list[str]]] = {
    "a commodity": (
        lambda row: row.commodity == CORN,
        [
            "holds 50 balances where 2025-10 had 100 (50.0 %, expected at least 98 %)",
            "has no commodity 0440000 Corn, which 2025-10 had",
        ],
    ),
    "a country": (
        lambda row: row.country == "BR",
        [
            "holds 80 balances where 2025-10 had 100 (80.0 %, expected at least 98 %)",
            "has no country BR Brazil, which 2025-10 had",
        ],
    ),
    "four countries": (
        lambda row: row.country != "US",
        [
            "holds 20 balances where 2025-10 had 100 (20.0 %, expected at least 98 %)",
            "has no countries AR Argentina; BR Brazil; CA Canada and 1 more, which 2025-10 had",
        ],
    ),
    "most of a country": (
        lambda row: row.country == "BR" and row.market_year < 2024,
        [
            "holds 84 balances where 2025-10 had 100 (84.0 %, expected at least 98 %)",
            (
                "has fewer than 98 % of the balances that 2025-10 had of the commodities "
                "0410000 Wheat (42 of 50); 0440000 Corn (42 of 50)"
            ),
            (
                "has fewer than 98 % of the balances that 2025-10 had of the country "
                "BR Brazil (4 of 20)"
            ),
        ],
    ),
    "a market year": (
        lambda row: row.market_year == 2017,
        [
            "holds 90 balances where 2025-10 had 100 (90.0 %, expected at least 98 %)",
            "has no market year 2017, which 2025-10 had",
        ],
    ),
    "an attribute": (
        lambda row: row.attribute == "176",
        [
            (
                "has fewer figures than 2025-10 of the attributes 176 of 0410000 (0 of 50); "
                "176 of 0440000 (0 of 50)"
            ),
            "holds 1,400 rows where 2025-10 had 1,500",
        ],
    ),
    "half of the ending stocks of wheat": (
        lambda row: row.attribute == "176" and row.commodity == WHEAT and row.market_year < 2021,
        ["has fewer figures than 2025-10 of the attribute 176 of 0410000 (25 of 50)"],
    ),
}


@pytest.mark.parametrize("what", LOSSES)
def test_what_is_gone_is_named(releases: Releases, what: str) -> None:
    gone, expected = LOSSES[what]

    said = remarks_on(releases, november=[row for row in NOVEMBER if not gone(row)])

    assert list(said) == expected


def test_a_small_loss_in_a_large_release_is_said_by_its_part(releases: Releases) -> None:
    """The whole release has more than 98 % of the balances."""
    large = balances("2025-10", years=range(1960, 2026), countries=COUNTRIES)
    coffee = balances("2025-10", years=range(2022, 2026), countries=["NA"], commodities=[COFFEE])

    said = remarks_on(
        releases,
        october=large + coffee,
        november=[replace(row, stamp="2025-11") for row in large],
    )

    assert said == (
        "has no commodity 0711100 Coffee, Green, which 2025-10 had",
        "has no country NA Netherlands Antilles, which 2025-10 had",
    )


def test_all_rows_under_another_commodity_are_a_commodity_gone(releases: Releases) -> None:
    october = [row for row in OCTOBER if row.commodity == CORN]
    other = [replace(row, commodity=WHEAT) for row in NOVEMBER if row.commodity == CORN]

    said = remarks_on(releases, october=october, november=other)

    assert said == ("has no commodity 0440000 Corn, which 2025-10 had",)


def test_the_market_year_that_is_new_each_month_is_missed(releases: Releases) -> None:
    large = balances("2025-10", years=range(1960, 2026), countries=["US"])
    shorter = [replace(row, stamp="2025-11") for row in large if row.market_year < 2025]

    said = remarks_on(releases, october=large, november=shorter)

    assert said == ("has no market year 2025, which 2025-10 had",)


def test_an_older_release_at_a_newer_address_is_said(releases: Releases) -> None:
    (said,) = remarks_on(releases, november=OCTOBER)

    assert said == (
        "has no balance of a newest market year that was edited in 2025-11, as each real release "
        "has; its newest edit is from 2025-10: part of it is missing, or it is an older release"
    )


def test_the_first_release_is_looked_at_too(releases: Releases) -> None:
    releases.publish("2025-11", OCTOBER)

    (said,) = releases.load().remarks[KEY]

    assert "edited in 2025-11" in said


@pytest.mark.parametrize(("month", "said"), [("2025-11", 0), ("2025-12", 1)])
def test_coffee_is_released_in_june_and_december_only(
    releases: Releases, month: str, said: int
) -> None:
    file = "psd_coffee_csv.zip"
    releases.publish(month, balances("2025-06", commodities=[COFFEE]), file)

    assert len(releases.load().remarks.get(f"{month}/psd_coffee", ())) == said


@pytest.mark.parametrize("attributes", [("176",), ("028", "176"), ("020", "028", "057", "086")])
def test_units_that_differ_within_a_balance_are_said(
    releases: Releases, attributes: tuple[str, ...]
) -> None:
    def broken(text: bytes) -> bytes:
        for attribute in attributes:
            line = rb'(0440000,"Corn",BR,"Brazil",2024,[^\r]*,%s,"[^"]*"),08,"\(1000 MT\)"'
            text, count = re.subn(line % attribute.encode(), rb'\1,21,"(MT)"', text)
            assert count == 1
        return text

    releases.publish("2025-10", OCTOBER)
    releases.load()
    releases.keep_published()
    releases.keep("2025-11", zip_text(broken(csv_text(NOVEMBER))))

    assert releases.load().remarks[KEY] == (
        (
            "has quantities in different units within one balance: commodity 0440000, "
            "country BR, market year 2024 (units 08 and 21)"
        ),
    )


def test_of_many_balances_with_two_units_three_are_named(releases: Releases) -> None:
    text = re.sub(
        rb'(0440000,[^\r]*,176,"[^"]*"),08,"\(1000 MT\)"', rb'\1,21,"(MT)"', csv_text(NOVEMBER)
    )
    releases.keep("2025-11", zip_text(text))

    (said,) = releases.load().remarks[KEY]

    assert said.count("commodity 0440000") == 3
    assert said.endswith("and 47 more")


def test_areas_yields_and_whole_balances_may_have_units_of_their_own(releases: Releases) -> None:
    both = [*NOVEMBER, *balances("2025-11", years=[2025], commodities=[COFFEE])]

    assert remarks_on(releases, november=both) == ()


def test_a_code_without_a_name_is_said(releases: Releases) -> None:
    releases.publish("2025-10", OCTOBER)
    releases.load()
    releases.keep_published()
    releases.keep("2025-11", zip_text(csv_text(NOVEMBER).replace(b'"Brazil"', b'""')))

    report = releases.load()

    assert report.remarks[KEY] == ("has no name for the country BR",)
    assert releases.ask(
        "SELECT DISTINCT Country_Name FROM as_of('2025-11') WHERE Country_Code = 'BR'"
    ) in ([("",)], [(None,)])


def test_a_release_that_was_replaced_by_less_is_said(releases: Releases) -> None:
    """Though the release before it had no more."""
    small = [row for row in OCTOBER if row.country in {"AR", "US"}]
    remarks_on(releases, october=small, november=NOVEMBER)
    releases.keep_published()
    releases.publish("2025-11", [row for row in NOVEMBER if row.country != "BR"])

    assert releases.load().remarks[KEY] == (
        "holds 80 balances where the file it replaces had 100 (80.0 %, expected at least 98 %)",
        "has no country BR Brazil, which the file it replaces had",
    )


def test_a_remark_is_not_lost_with_a_load_that_was_not_published(releases: Releases) -> None:
    said = remarks_on(releases, november=[row for row in NOVEMBER if row.country != "BR"])

    again = releases.load()

    assert again.loaded == ()
    assert again.remarks == {KEY: said}
    releases.keep_published()
    assert releases.load().remarks == {}


def test_a_repaired_release_takes_its_remark_away(releases: Releases) -> None:
    remarks_on(releases, november=[row for row in NOVEMBER if row.country != "BR"])
    releases.keep_published()
    releases.publish("2025-11", NOVEMBER)

    assert releases.load().remarks == {}


def test_each_release_of_a_history_is_compared_with_the_one_before_it(releases: Releases) -> None:
    releases.publish("2025-08", release("2025-08"))
    releases.publish("2025-09", [row for row in release("2025-09") if row.country != "BR"])
    releases.publish("2025-10", OCTOBER)
    releases.publish("2025-11", [row for row in NOVEMBER if row.country != "CA"])

    remarks = releases.load().remarks

    assert {key: said[1] for key, said in remarks.items()} == {
        "2025-09/psd_alldata": "has no country BR Brazil, which 2025-08 had",
        "2025-11/psd_alldata": "has no country CA Canada, which 2025-10 had",
    }


def test_a_release_is_compared_with_another_when_the_one_between_them_goes(
    releases: Releases,
) -> None:
    remarks_on(releases, november=[row for row in NOVEMBER if row.country != "BR"])
    releases.keep_published()
    releases.withdraw("2025-10")

    assert releases.load().remarks == {}


def test_two_archives_are_not_compared_with_each_other(releases: Releases) -> None:
    releases.publish("2025-10", OCTOBER)
    grains = [row for row in NOVEMBER if row.country == "US"]
    releases.publish("2025-11", grains, "psd_grains_pulses_csv.zip")

    assert releases.load().remarks == {}


def test_figures_that_became_empty_are_missed(releases: Releases) -> None:
    """The rows are there; what they said is not."""
    empty = re.sub(rb'(?m)^(0410000,.*",)[\d.]+\r$', rb"\1\r", csv_text(NOVEMBER))
    releases.publish("2025-10", OCTOBER)
    releases.load()
    releases.keep_published()
    releases.keep("2025-11", zip_text(empty))

    said = releases.load().remarks[KEY]

    assert any(one.startswith("has fewer figures than 2025-10 of the attributes") for one in said)
