"""Every published figure, against a computation of its own over the same rows, in plain Python."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.psd import COFFEE, CORN, SOYBEANS, WHEAT, Row, balance, balances
from fakes.releases import Releases
from fakes.sqlmesh_builds import built_once
from materia_runner.worker.sqlmesh.build import TransformReport

ARCHIVES = Path(__file__).resolve().parents[3] / "shared/data/psdonline/archives"
Ask = Callable[[str], list[tuple[object, ...]]]
Balances = dict[tuple[str, str, int], dict[str, Decimal]]
# Commodities whose world use WASDE adjusts for the differences in world imports and exports.
ADJUSTED = {WHEAT, CORN}
# USDA FAS, WASDE no. 665 (2025-11-14), world, million tonnes: production, ending stocks.
WASDE = {
    (WHEAT, 2023): ("792.34", "270.71"),
    (WHEAT, 2024): ("800.79", "261.44"),
    (WHEAT, 2025): ("828.89", "271.43"),
    ("0440000", 2023): (None, "315.53"),
    ("0440000", 2024): (None, "291.66"),
    ("0440000", 2025): (None, "281.34"),
}

MAJOR = (
    "SELECT sum(domestic_use)::INT FROM serving.fct_balance WHERE commodity_code = '0410000' "
    "AND market_year = 2025 AND country_code IN ('AR', 'AS', 'CA', 'E4', 'RS', 'UP')"
)
# Balances of the newest release that are not those as of its month.
NEWEST = (
    "SELECT count(*) FROM (SELECT * EXCLUDE (market_year_end, last_edited, first_release) "
    "FROM serving.fct_balance EXCEPT SELECT * EXCLUDE (month, release) "
    "FROM raw.psd_balance_as_of WHERE month = (SELECT max(month) FROM raw.psd_forecast))"
)


def by_balance(rows: list[Row]) -> Balances:
    found: Balances = defaultdict(dict)
    for row in rows:
        key = (row.commodity, row.country, row.market_year)
        found[key][row.attribute] = Decimal(f"{row.value:.4f}")
    return found


def same(published: object, computed: Decimal | None) -> bool:
    if published is None or computed is None:
        return published is computed
    if isinstance(published, Decimal):
        return published == computed
    return float(published) == pytest.approx(float(computed), rel=1e-9)  # type: ignore[arg-type]


def percent(part: Decimal | None, whole: Decimal | None) -> Decimal | None:
    return None if part is None or not whole else 100 * part / whole


def test_small_world_agrees_with_plain_python(
    releases: Releases, build_shipped: Callable[[], object], ask: Ask
) -> None:
    rows = balances("2025-11", commodities=(CORN, WHEAT, SOYBEANS)) + balance(
        COFFEE, "BR", 2024, "2025-06", {"029": 40, "053": 20, "020": 3, "090": 35, "141": 20}
    )
    releases.publish("2025-11", rows)
    build_shipped()
    expected = by_balance(rows)

    names = "area_harvested beginning_stocks production imports total_supply exports domestic_use"
    attributes = ["004", "020", "028", "057", "086", "088", "125", "130", "192"]
    attributes += ["176", "178", "184"]
    columns = [*names.split(), "feed_use", "food_seed_industrial_use"]
    columns += ["ending_stocks", "total_distribution", "yield"]
    published = ask(
        f"SELECT commodity_code, country_code, market_year, {', '.join(columns)} "
        "FROM serving.fct_balance ORDER BY ALL"
    )
    assert [
        (*key, *(figures.get(attribute) for attribute in attributes))
        for key, figures in sorted(expected.items())
    ] == published

    world: dict[tuple[str, int], dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for (commodity, _, year), figures in expected.items():
        for attribute, value in figures.items():
            world[commodity, year][attribute] += value
    totals = ask(
        "SELECT commodity_code, market_year, production, imports, exports, ending_stocks, "
        "domestic_use, world_supply, total_supply, apparent_use, world_use, stocks_to_use_percent, "
        "yield_tonnes_per_ha FROM serving.agg_world_balance ORDER BY ALL"
    )
    assert [tuple(row[:2]) for row in totals] == sorted(world)
    for code, label, *sums, supply, apparent, use, ratio, yielded in totals:
        total = world[str(code), int(str(label))]
        assert sums == [total[attribute] for attribute in ("028", "057", "088", "176", "125")] + [
            total["020"] + total["028"]
        ]
        left = total["020"] + total["028"] - total["176"]
        used = left if code in ADJUSTED else total["125"]
        assert (supply, apparent, use) == (total["086"], left, used)
        assert same(ratio, percent(total["176"], used))
        assert same(yielded, total["028"] / total["004"] if total["004"] else None)
    assert any(row[9] != row[10] for row in totals)

    assert ("NA", "Netherlands Antilles") in ask(
        "SELECT country_code, country FROM serving.dim_country"
    )

    metrics = ask(
        "SELECT commodity_code, country_code, market_year, stocks_to_use_percent, "
        "yield_tonnes_per_ha, world_share_of_production_percent, production_change, "
        "production_change_percent, production_tonnes FROM serving.obt_commodity_metrics"
    )
    assert len(metrics) == len(expected)
    for code, country, label, stocks, yielded, share, change, changed, tonnes in metrics:
        key = (str(code), str(country), int(str(label)))
        figures = expected[key]
        before = expected.get((*key[:2], key[2] - 1), {}).get("028")
        area, production = figures.get("004"), figures["028"]
        assert same(stocks, percent(figures["176"], figures["125"] + figures["088"]))
        assert same(yielded, production / area if area else None)
        assert same(share, percent(production, world[key[0], key[2]]["028"]))
        assert same(change, None if before is None else production - before)
        assert same(changed, None if before is None else percent(production - before, before))
        assert same(tonnes, production * (60 if key[0] == COFFEE else 1000))
    assert ask(NEWEST) == [(0,)]


@pytest.fixture(scope="module")
def two_releases(tmp_path_factory: pytest.TempPathFactory, shipped: tuple[Path, Path]) -> Releases:
    """Two releases, the second of which comes as one file of all, as a group and as areas."""

    def publish(releases: Releases) -> None:
        releases.publish("2024-05", balances("2024-05"))
        rows = balances("2025-11")
        releases.publish("2025-11", rows)
        releases.publish("2025-11", rows, "psd_grains_pulses_csv.zip")
        releases.publish("2025-11", rows, "psd_eu_area_prod_csv.zip")

    return built_once(tmp_path_factory, "two releases", shipped, publish)[0]


def test_the_queries_of_the_documentation_run(two_releases: Releases) -> None:
    ask = two_releases.ask
    text = (Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")
    queries = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    named = re.findall(r"`((?:raw|staging|cleaned|serving)\.[a-z_]+)[`.]", text)

    assert len(queries) >= 3
    assert all(ask(query) is not None for query in queries)
    assert ask(queries[1].split(";")[0])
    assert len(named) > 10
    assert set(named) <= {
        name
        for (name,) in ask(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() UNION ALL "
            "SELECT schema_name || '.' || view_name FROM duckdb_views()"
        )
    }


@pytest.mark.skipif(not ARCHIVES.exists(), reason="the real archive is not beside this checkout")
def test_real_coffee_gives_the_use_of_usdas_circular(
    releases: Releases, build_shipped: Callable[[], object], ask: Ask
) -> None:
    archive = ARCHIVES / "2022/12/psd_coffee_csv.zip"
    releases.keep("2022-12", archive.read_bytes(), archive.name)
    build_shipped()

    # Thousand bags: the sum over countries is 167.9 million; what left the stocks is 171.2 million.
    assert ask(
        "SELECT world_use, domestic_use, apparent_use, round(stocks_to_use_percent, 1) "
        "FROM serving.agg_world_balance WHERE market_year = 2022"
    ) == [(167_945, 167_945, 171_201, 20.3)]


def test_the_european_union_without_the_united_kingdom_is_no_change(
    releases: Releases, build_shipped: Callable[[], TransformReport], ask: Ask
) -> None:
    """The members' table gives the year for wheat; a row of the member does for corn."""
    figures = {"004": 50, "028": 100, "057": 3, "088": 30, "125": 60}
    rows = [
        *balance(WHEAT, "E4", 2015, "2025-11", {**figures, "028": 120}),
        *balance(WHEAT, "E4", 2016, "2025-11", {**figures, "020": 7}),
        *balance(WHEAT, "E4", 2017, "2025-11", {**figures, "020": 20}),
        *balance(CORN, "E4", 2018, "2025-11", {**figures, "028": 120}),
        *balance(CORN, "E4", 2019, "2025-11", {**figures, "020": 1}),
        *balance(CORN, "E4", 2020, "2025-11", {**figures, "020": 14}),
        *balance(CORN, "UK", 2019, "2025-11", {"028": 20, "125": 20}),
        *balance(CORN, "UK", 2020, "2025-11", {"028": 20, "125": 20}),
    ]
    releases.publish("2025-11", rows)
    warnings = build_shipped().warnings

    changes = ask(
        "SELECT commodity, market_year, COLUMNS('.*_change') FROM serving.obt_commodity_metrics "
        "WHERE country_code = 'E4' ORDER BY commodity DESC, market_year"
    )
    assert [(row[1], set(row[2:]) == {None}) for row in changes] == [
        *[(2015, True), (2016, True), (2017, False)],
        *[(2018, True), (2019, True), (2020, False)],
    ]
    assert not [warning for warning in warnings if "stocks_are_carried_over" in warning]
    assert not [warning for warning in warnings if "counted_twice" in warning]


def test_one_group_and_all_together_do_not_count_twice(two_releases: Releases) -> None:
    ask = two_releases.ask
    rows = balances("2025-11")

    assert ask("SELECT count(*), sum(production) FROM serving.fct_balance") == [
        (
            len(by_balance(rows)),
            sum(figures["028"] for figures in by_balance(rows).values()),
        )
    ]
    assert ask("SELECT count(*) FROM raw.psd_area_breakdown") == [(len(rows),)]
    assert ask("SELECT count(*) FROM raw.psd_alldata") == [(len(rows),)]


@pytest.fixture
def real_grains() -> bytes:
    path = ARCHIVES / "2025/11/psd_grains_pulses_csv.zip"
    if not path.exists():
        pytest.skip("the real archive of 2025-11 is not beside this checkout")
    return path.read_bytes()


def test_real_grains_give_the_world_totals_of_wasde(
    releases: Releases, build_shipped: Callable[[], TransformReport], ask: Ask, real_grains: bytes
) -> None:
    releases.keep("2025-11", real_grains, "psd_grains_pulses_csv.zip")
    for name in ("psd_eu_area_prod_csv.zip", "psd_russiabreakdown_area_prod_csv.zip"):
        releases.keep("2025-11", (ARCHIVES / "2025/11" / name).read_bytes(), name)
    warnings = build_shipped().warnings

    assert not [warning for warning in warnings if "stocks_are_carried_over" in warning]
    assert ask(
        "SELECT market_year, production_change, ending_stocks_change IS NULL "
        "FROM serving.obt_commodity_metrics WHERE commodity = 'Wheat' AND country_code = 'E4' "
        "AND market_year BETWEEN 2015 AND 2017 ORDER BY ALL"
    ) == [(2015, 3568, False), (2016, None, True), (2017, 5695, False)]
    for column, names, code in (
        ("country", "serving.dim_country", "country_code"),
        ("commodity", "serving.dim_commodity", "commodity_code"),
    ):
        nameless = (
            f"SELECT DISTINCT {code} FROM {{}} LEFT JOIN {names} AS name USING ({code}) "
            f"WHERE name.{column} IS NULL OR name.{column} = {code}"
        )
        assert not ask(nameless.format("raw.psd_alldata"))
        assert not ask(nameless.format("raw.psd_area_breakdown"))
    assert not ask(
        "FROM raw.psd_area_breakdown WHERE country_name IS NULL OR commodity_description IS NULL"
    )
    assert ("FR", "France") in ask("SELECT country_code, country FROM serving.dim_country")
    # WASDE no. 665, total supply of the world, million tonnes: wheat and rice of 2025/26.
    assert [
        round(Decimal(str(figure)) / 1000, 1)
        for (figure,) in ask(
            "SELECT world_supply FROM serving.agg_world_balance WHERE market_year = 2025 "
            "AND commodity_code IN ('0410000', '0422110') ORDER BY commodity_code"
        )
    ] == [Decimal("1090.3"), Decimal("729.1")]

    world = {
        (commodity, year): (production, ending, use)
        for commodity, year, production, ending, use in ask(
            "SELECT commodity_code, market_year, production, ending_stocks, world_use "
            "FROM serving.agg_world_balance"
        )
    }
    for key, (production, ending) in WASDE.items():
        found = [round(Decimal(str(figure)) / 1000, 2) for figure in world[key][:2]]
        assert found[1] == Decimal(ending)
        assert production is None or found[0] == Decimal(production)
    assert round(Decimal(str(world[WHEAT, 2024][2])) / 1000, 2) == Decimal("810.06")

    # WASDE no. 665: coarse grains of the world, 1.576 billion tons; corn of the United States in
    # million bushels; and use of the world less China is world use less China's.
    assert ask(
        "SELECT round(sum(production) / 1e6, 3) FROM serving.agg_world_balance JOIN "
        "serving.dim_commodity_group USING (commodity_code) WHERE group_name = 'Coarse grains' "
        "AND market_year = 2025"
    ) == [(1.576,)]
    assert ask(
        "SELECT round(production * units_per_quantity / 1e6), "
        "round(ending_stocks * units_per_quantity / 1e6) FROM serving.fct_balance "
        "JOIN serving.dim_unit USING (commodity_code) WHERE commodity_code = '0440000' "
        "AND country_code = 'US' AND market_year = 2025 AND unit = 'bushel'"
    ) == [(16752, 2154)]
    assert ask(
        "SELECT group_name, domestic_use::INT, country_count FROM serving.agg_group_balance "
        "WHERE commodity_code = '0410000' AND market_year = 2025 AND group_name IN "
        "('World', 'World less China', 'EU-27', 'EU-28', 'Major exporters') ORDER BY ALL"
    ) == [
        ("EU-27", 113500, 1),
        ("EU-28", 128800, 2),
        ("Major exporters", ask(MAJOR)[0][0], 6),
        ("World", 818902, 123),
        ("World less China", 670902, 122),
    ]
    assert ask("SELECT count(*) FROM serving.dim_country WHERE region IS NULL") == [(0,)]
    assert ask(NEWEST) == [(0,)]

    with (
        zipfile.ZipFile(io.BytesIO(real_grains)) as archive,
        archive.open("psd_grains_pulses.csv") as member,
    ):
        lines = csv.DictReader(io.TextIOWrapper(member, encoding="ascii"))
        sums: dict[tuple[str, int, str], Decimal] = defaultdict(Decimal)
        count = 0
        for line in lines:
            count += 1
            key3 = (line["Commodity_Code"], int(line["Market_Year"]), line["Attribute_ID"])
            sums[key3] += Decimal(line["Value"])
    assert ask("SELECT count(*) FROM raw.psd_alldata") == [(count,)]
    published = ask(
        "SELECT commodity_code, market_year, area_harvested, beginning_stocks, production, "
        "imports, exports, domestic_use, ending_stocks FROM serving.agg_world_balance"
    )
    assert len(published) == len({key3[:2] for key3 in sums})
    for commodity, year, *figures in published:
        computed = [
            sums[str(commodity), int(str(year)), attribute]
            for attribute in ("004", "020", "028", "057", "088", "125", "176")
        ]
        assert figures == computed
