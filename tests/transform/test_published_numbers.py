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
from fakes.psd import COFFEE, WHEAT, Row, balance, balances
from fakes.releases import Releases
from materia.transform import TransformReport

ARCHIVES = Path(__file__).resolve().parents[3] / "shared/data/psdonline/archives"
Ask = Callable[[str], list[tuple[object, ...]]]
Balances = dict[tuple[str, str, int], dict[str, Decimal]]
# USDA FAS, WASDE no. 665 (2025-11-14), world, million tonnes: production, ending stocks.
WASDE = {
    (WHEAT, 2023): ("792.34", "270.71"),
    (WHEAT, 2024): ("800.79", "261.44"),
    (WHEAT, 2025): ("828.89", "271.43"),
    ("0440000", 2023): (None, "315.53"),
    ("0440000", 2024): (None, "291.66"),
    ("0440000", 2025): (None, "281.34"),
}


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
    releases: Releases, build: Callable[[], object], ask: Ask
) -> None:
    rows = balances("2025-11") + balance(
        COFFEE, "BR", 2024, "2025-06", {"029": 40, "053": 20, "020": 3, "090": 35, "141": 20}
    )
    releases.publish("2025-11", rows)
    build()
    expected = by_balance(rows)

    names = "area_harvested beginning_stocks production imports total_supply exports domestic_use"
    attributes = ("004", "020", "028", "057", "086", "088", "125", "176", "178", "184")
    columns = [*names.split(), "ending_stocks", "total_distribution", "yield"]
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
        "world_use, stocks_to_use_percent FROM serving.agg_world_balance ORDER BY ALL"
    )
    assert [tuple(row[:2]) for row in totals] == sorted(world)
    for code, label, production, imports, exports, ending, use, ratio in totals:
        total = world[str(code), int(str(label))]
        assert (production, imports, exports, ending) == tuple(
            total[attribute] for attribute in ("028", "057", "088", "176")
        )
        assert use == total["020"] + total["028"] - total["176"]
        assert same(ratio, percent(total["176"], total["020"] + total["028"] - total["176"]))

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


def test_the_queries_of_the_documentation_run(
    releases: Releases, build: Callable[[], TransformReport], ask: Ask
) -> None:
    releases.publish("2025-11", balances("2025-11"))
    built = build().tables
    text = (Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")
    queries = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    named = re.findall(r"`((?:raw|staging|cleaned|serving)\.[a-z_]+)[`.]", text)

    assert len(queries) >= 3
    assert all(ask(query) is not None for query in queries)
    assert ask(queries[1].split(";")[0])
    assert set(named) <= set(built)


def test_one_group_and_all_together_do_not_count_twice(
    releases: Releases, build: Callable[[], object], ask: Ask
) -> None:
    rows = balances("2025-11", years=(2024, 2025))
    releases.publish("2025-11", rows)
    releases.publish("2025-11", rows, "psd_grains_pulses_csv.zip")
    releases.publish("2025-11", rows, "psd_eu_area_prod_csv.zip")
    build()

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
    releases: Releases, build: Callable[[], object], ask: Ask, real_grains: bytes
) -> None:
    releases.keep("2025-11", real_grains, "psd_grains_pulses_csv.zip")
    eu = ARCHIVES / "2025/11/psd_eu_area_prod_csv.zip"
    releases.keep("2025-11", eu.read_bytes(), eu.name)
    build()

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
