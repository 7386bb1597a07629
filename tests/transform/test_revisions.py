"""The history of forecasts: what each release changed, however the releases arrived."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.psd import COFFEE, CORN, WHEAT, Row, balance, balances
from fakes.releases import Releases
from fakes.sqlmesh_builds import built_once
from materia_runner.worker.sqlmesh.build import TransformReport

Ask = Callable[[str], list[tuple[object, ...]]]
Build = Callable[..., TransformReport]
HISTORY = (
    "cleaned.cln_psdalldata__revision",
    "cleaned.cln_psdalldata__revision_error",
    "serving.fct_revision",
    "serving.agg_revision_error",
)


def wheat(production: float, fingerprint: str = "2025-08", year: int = 2025) -> list[Row]:
    return balance(WHEAT, "US", year, fingerprint, {"028": production, "125": 10})


def coffee(year: int, fingerprint: str) -> list[Row]:
    """Two balances of today, and one from before releases were tracked; the newest is *year*.

    One figure is the same in two years running, as most zeros are.
    """
    figures = {"029": 40.0, "141": 20.0}
    old = balance(COFFEE, "BR", year - 20, f"{2002}-00", figures)
    before = balance(COFFEE, "BR", year - 1, fingerprint, {**figures, "029": 35.0})
    return old + before + balance(COFFEE, "BR", year, fingerprint, figures)


def everything(ask: Ask) -> dict[str, list[tuple[object, ...]]]:
    names = ask(
        "SELECT schema_name || '.' || view_name FROM duckdb_views() "
        "WHERE schema_name IN ('cleaned', 'serving') ORDER BY ALL"
    )
    return {str(name): ask(f"SELECT * FROM {name} ORDER BY ALL") for (name,) in names}


@pytest.fixture(scope="module")
def forecast(tmp_path_factory: pytest.TempPathFactory, shipped: tuple[Path, Path]) -> Releases:
    """One wheat balance that is revised twice, and one that is only touched; corn is dropped."""
    corn = balance(CORN, "US", 2025, "2025-08", {"028": 40, "125": 10})
    revised = balance(CORN, "US", 2025, "2025-09", {"028": 44, "125": 10})

    def publish(releases: Releases) -> None:
        releases.publish("2025-08", wheat(50) + wheat(30, "2025-08", 2024) + corn)
        releases.publish("2025-09", wheat(60, "2025-09") + wheat(30, "2025-09", 2024) + revised)
        releases.publish(
            "2025-11",
            wheat(45, "2025-11") + wheat(70, "2025-11", 2026) + wheat(30, "2025-09", 2024),
        )

    return built_once(tmp_path_factory, "forecasts", shipped, publish)[0]


@pytest.fixture
def forecasts(forecast: Releases) -> Ask:
    return forecast.ask


def test_each_revision_has_its_first_previous_and_current_value(forecasts: Ask) -> None:
    found = forecasts(
        "SELECT release, market_year, kind, horizon_months, first_value, previous_value, "
        "current_value, change, change_percent, change_from_first FROM serving.fct_revision "
        f"WHERE attribute_id = 28 AND commodity_code = '{WHEAT}' ORDER BY ALL"
    )

    assert found == [
        (date(2025, 9, 1), 2025, "revised", 3, *map(Decimal, (50, 50, 60, 10)), 20.0, 10),
        (date(2025, 11, 1), 2025, "revised", 1, *map(Decimal, (50, 60, 45, -15)), -25.0, -5),
        (date(2025, 11, 1), 2026, "new", 13, 70, None, 70, None, None, 0),
    ]


def test_the_size_of_revisions_is_summed_by_horizon(forecasts: Ask) -> None:
    found = forecasts(
        "SELECT horizon_months, revision_count, mean_change, absolute_change_percent "
        "FROM serving.agg_revision_error "
        f"WHERE attribute_id = 28 AND commodity_code = '{WHEAT}' ORDER BY ALL"
    )

    assert found == [(1, 1, -15.0, 25.0), (3, 1, 10.0, 20.0)]


def test_a_balance_that_was_only_touched_is_not_revised(forecasts: Ask) -> None:
    assert forecasts("SELECT count(*) FROM serving.fct_revision WHERE market_year = 2024") == [(0,)]
    assert forecasts("SELECT last_edited FROM serving.fct_balance WHERE market_year = 2024") == [
        (date(2025, 9, 30),)
    ]


@pytest.mark.parametrize(
    ("asked", "believed"), [("2025-08-01", 50), ("2025-10-15", 60), ("2025-11", 45)]
)
def test_what_was_believed_at_a_release_can_be_asked(
    forecasts: Ask, asked: str, believed: int
) -> None:
    found = forecasts(
        f"SELECT Value FROM as_of('{asked}') WHERE Attribute_ID = '028' AND Market_Year = 2025 "
        f"AND Commodity_Code = '{WHEAT}'"
    )

    assert found == [(believed,)]


def test_the_relabelling_of_coffee_is_no_revision(
    releases: Releases, build_shipped: Build, ask: Ask
) -> None:
    releases.publish("2022-12", coffee(2023, "2022-12"))
    build_shipped()
    before = ask("SELECT market_year FROM serving.fct_balance ORDER BY ALL")
    releases.publish("2023-06", coffee(2022, "2022-12"))
    build_shipped()

    assert before == [(2002,), (2021,), (2022,)]
    assert ask("SELECT market_year FROM serving.fct_balance ORDER BY ALL") == before
    assert ask("SELECT count(*) FROM serving.fct_revision") == [(0,)]
    assert ask("SELECT DISTINCT first_release FROM serving.fct_balance") == [(date(2022, 12, 1),)]


def test_a_commodity_that_was_dropped_keeps_its_history_and_its_name(forecasts: Ask) -> None:
    assert forecasts(
        "SELECT release, kind, previous_value, current_value, commodity FROM serving.fct_revision "
        "JOIN serving.dim_commodity USING (commodity_code) JOIN serving.dim_country "
        "USING (country_code) WHERE commodity = 'Corn' AND attribute_id = 28 ORDER BY ALL"
    ) == [
        (date(2025, 9, 1), "revised", 40, 44, "Corn"),
        (date(2025, 11, 1), "dropped", 44, None, "Corn"),
    ]
    assert forecasts(
        "SELECT revision_count, mean_change FROM serving.agg_revision_error "
        f"WHERE commodity_code = '{CORN}' AND attribute_id = 28"
    ) == [(1, 4.0)]
    assert forecasts(
        "SELECT commodity, is_current FROM serving.dim_commodity ORDER BY commodity_code"
    ) == [("Wheat", True), ("Corn", False)]
    assert forecasts("SELECT DISTINCT commodity_code FROM serving.fct_balance") == [(WHEAT,)]


@pytest.mark.campaign
@pytest.mark.usefixtures("built")
def test_month_by_month_gives_what_one_build_gives(
    releases: Releases, build: Build, ask: Ask
) -> None:
    first = balances("2025-09")
    releases.publish("2025-11", balances("2025-09", seed=1)[:200] + first[200:])
    releases.publish("2025-12", balances("2025-12", seed=2, years=range(2021, 2027)))
    build()
    # One in the middle is replaced, one is inserted, and the oldest goes.
    releases.publish("2025-11", balances("2025-09", seed=3)[:300] + first[300:])
    releases.publish("2025-10", balances("2025-09", seed=4)[:100] + first[100:])
    del releases.files["2025-09", "psd_alldata_csv.zip"]
    build()
    grown = everything(ask)
    releases.database.unlink()
    build()

    assert all(grown[name] for name in HISTORY)
    assert everything(ask) == grown


def test_only_affected_releases_are_built_again(
    forecast: Releases, releases: Releases, build_shipped: Build, ask: Ask
) -> None:
    releases.take_over(forecast)
    before = physical_rows(ask)
    releases.publish("2025-12", wheat(48, "2025-12"))
    build_shipped()

    assert before
    assert set(before) < set(physical_rows(ask))


def physical_rows(ask: Ask) -> list[tuple[object, ...]]:
    """Rows with where they are stored: a row that was written again has another place."""
    ((name,),) = ask(
        "SELECT schema_name || '.' || table_name FROM duckdb_tables() "
        r"WHERE table_name LIKE 'cleaned__cln_psdalldata__revision\_\_%' ESCAPE '\'"
    )
    return ask(f"SELECT rowid, * FROM {name} ORDER BY ALL")
