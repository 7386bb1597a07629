"""The history of forecasts: what each release changed, however the releases arrived."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest
from fakes.psd import COFFEE, WHEAT, Row, balance, balances
from fakes.releases import Releases
from materia.transform import TransformReport

Ask = Callable[[str], list[tuple[object, ...]]]
Build = Callable[..., TransformReport]
HISTORY = (
    "cleaned.cln_psdalldata__revision",
    "cleaned.cln_psdalldata__revision_error",
    "serving.fct_revision",
    "serving.agg_revision_error",
)


def wheat(production: float, stamp: str = "2025-08", year: int = 2025) -> list[Row]:
    return balance(WHEAT, "US", year, stamp, {"028": production, "125": 10})


def coffee(year: int, stamp: str) -> list[Row]:
    """A balance of today, and one from before releases were tracked, under the label *year*."""
    figures = {"029": 40.0, "141": 20.0}
    old = balance(COFFEE, "BR", year - 20, f"{2002}-00", figures)
    return old + balance(COFFEE, "BR", year, stamp, figures)


def everything(ask: Ask) -> dict[str, list[tuple[object, ...]]]:
    names = ask(
        "SELECT schema_name || '.' || view_name FROM duckdb_views() "
        "WHERE schema_name IN ('cleaned', 'serving') ORDER BY ALL"
    )
    return {str(name): ask(f"SELECT * FROM {name} ORDER BY ALL") for (name,) in names}


def test_each_revision_has_its_first_previous_and_current_value(
    releases: Releases, build: Build, ask: Ask
) -> None:
    releases.publish("2025-08", wheat(50))
    releases.publish("2025-09", wheat(60, "2025-09"))
    releases.publish("2025-11", wheat(45, "2025-11") + wheat(70, "2025-11", 2026))
    build()

    found = ask(
        "SELECT release, market_year, kind, horizon_months, first_value, previous_value, "
        "current_value, change, change_percent, change_from_first FROM serving.fct_revision "
        "WHERE attribute_id = 28 ORDER BY ALL"
    )
    assert found == [
        (date(2025, 9, 1), 2025, "revised", 3, *map(Decimal, (50, 50, 60, 10)), 20.0, 10),
        (date(2025, 11, 1), 2025, "revised", 1, *map(Decimal, (50, 60, 45, -15)), -25.0, -5),
        (date(2025, 11, 1), 2026, "new", 13, 70, None, 70, None, None, 0),
    ]
    assert ask(
        "SELECT horizon_months, revision_count, mean_change, absolute_change_percent "
        "FROM serving.agg_revision_error WHERE attribute_id = 28 ORDER BY ALL"
    ) == [(1, 1, -15.0, 25.0), (3, 1, 10.0, 20.0)]


def test_a_balance_that_was_only_touched_is_not_revised(
    releases: Releases, build: Build, ask: Ask
) -> None:
    releases.publish("2025-08", wheat(50))
    releases.publish("2025-09", wheat(50, "2025-09"))
    build()

    assert ask("SELECT count(*) FROM serving.fct_revision") == [(0,)]
    assert ask("SELECT DISTINCT last_edited FROM serving.fct_balance") == [(date(2025, 9, 30),)]


def test_the_relabelling_of_coffee_is_no_revision(
    releases: Releases, build: Build, ask: Ask
) -> None:
    releases.publish("2022-12", coffee(2023, "2022-12"))
    build()
    before = ask("SELECT market_year FROM serving.fct_balance ORDER BY ALL")
    releases.publish("2023-06", coffee(2022, "2022-12"))
    build()

    assert before == [(2002,), (2022,)]
    assert ask("SELECT market_year FROM serving.fct_balance ORDER BY ALL") == before
    assert ask("SELECT count(*) FROM serving.fct_revision") == [(0,)]


def test_month_by_month_gives_what_one_build_gives(
    releases: Releases, build: Build, ask: Ask
) -> None:
    stages = {
        "2025-08": balances("2025-08"),
        "2025-09": balances("2025-08", seed=1)[:200] + balances("2025-08")[200:],
        "2025-11": balances("2025-11", seed=2, years=range(2021, 2027)),
    }
    for month, rows in stages.items():
        releases.publish(month, rows)
        build()
    # One in the middle is replaced, one is inserted, and the oldest goes.
    releases.publish("2025-09", balances("2025-08", seed=3)[:300] + balances("2025-08")[300:])
    build()
    releases.publish("2025-10", balances("2025-08", seed=4)[:100] + balances("2025-08")[100:])
    build()
    del releases.files["2025-08", "psd_alldata_csv.zip"]
    report = build()
    grown = everything(ask)
    releases.database.unlink()
    build()

    assert report.models > 0
    assert all(grown[name] for name in HISTORY)
    assert everything(ask) == grown


def test_only_affected_releases_are_built_again(releases: Releases, build: Build, ask: Ask) -> None:
    for month, production in (("2025-08", 50), ("2025-09", 60), ("2025-11", 45)):
        releases.publish(month, wheat(production, month))
    build()
    releases.publish("2025-12", wheat(48, "2025-12"))
    before = physical_rows(ask)
    build()
    after = physical_rows(ask)

    assert set(before) < set(after)


def physical_rows(ask: Ask) -> list[tuple[object, ...]]:
    """Rows with where they are stored: a row that was written again has another place."""
    ((name,),) = ask(
        "SELECT schema_name || '.' || table_name FROM duckdb_tables() "
        "WHERE table_name LIKE 'cleaned__cln_psdalldata__revision\\_\\_%' ESCAPE '\\'"
    )
    return ask(f"SELECT rowid, * FROM {name} ORDER BY ALL")


@pytest.mark.parametrize("release", ["2025-08-01", "2025-09-15", "2025-11"])
def test_what_was_believed_at_a_release_can_be_asked(
    releases: Releases, build: Build, ask: Ask, release: str
) -> None:
    for month, production in (("2025-08", 50), ("2025-09", 60), ("2025-11", 45)):
        releases.publish(month, wheat(production, month))
    build()

    expected = {"2025-08": 50, "2025-09": 60, "2025-11": 45}[release[:7]]
    assert ask(f"SELECT Value FROM as_of('{release}') WHERE Attribute_ID = '028'") == [(expected,)]
