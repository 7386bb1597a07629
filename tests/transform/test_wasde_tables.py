"""WASDE's world tables of three Mays against the groups of the models: grains, soybeans, cotton.

`wasde_tables.csv` has the first year of each table, as USDA printed it: WASDE no. 612 (2021-05-12),
no. 636 (2023-05-12) and no. 660 (2025-05-12). Rows of countries go into a release as PSD Online has
them, what a group or the world has beyond its printed rows into one more country of it, and the
models must give what USDA printed for every group.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.psd import HEADER, zip_text
from fakes.releases import Releases
from fakes.sqlmesh_builds import built_once

FILE = Path(__file__).parents[1] / "fakes/wasde_tables.csv"
Figures = dict[str, Decimal]
Table = dict[str, tuple[str, Figures]]  # the group that it is in, and its figures
Key = tuple[str, int]
COTTON = "2631000"
CORN = "0440000"
COARSE = "coarse grains"  # a table of several commodities: corn has its own, barley gets the rest
BARLEY = "0430000"
NAMES = {
    "0410000": "Wheat",
    "0422110": "Rice, Milled",
    "0430000": "Barley",
    "0440000": "Corn",
    "0813100": "Meal, Soybean",
    "2222000": "Oilseed, Soybean",
    "2631000": "Cotton",
    "4232000": "Oil, Soybean",
}
# The row of a region stands for one of its countries.
CODES = {
    "Afr. Fr. Zone": ("ML", "Mali"),
    "C. Amer & Carib": ("CU", "Cuba"),
    "Kazakhstan": ("KZ", "Kazakhstan"),
    "United Kingdom": ("UK", "United Kingdom"),
    "Argentina": ("AR", "Argentina"),
    "Australia": ("AS", "Australia"),
    "Bangladesh": ("BG", "Bangladesh"),
    "Brazil": ("BR", "Brazil"),
    "Burma": ("BM", "Burma"),
    "Canada": ("CA", "Canada"),
    "Central Asia": ("UZ", "Uzbekistan"),
    "China": ("CH", "China"),
    "Egypt": ("EG", "Egypt"),
    "European Union": ("E4", "European Union"),
    "India": ("IN", "India"),
    "Indonesia": ("ID", "Indonesia"),
    "Japan": ("JA", "Japan"),
    "Mexico": ("MX", "Mexico"),
    "N. Afr & Mideast": ("EG", "Egypt"),
    "N. Africa": ("MO", "Morocco"),
    "Nigeria": ("NI", "Nigeria"),
    "North Africa": ("MO", "Morocco"),
    "Pakistan": ("PK", "Pakistan"),
    "Paraguay": ("PA", "Paraguay"),
    "Philippines": ("RP", "Philippines"),
    "Russia": ("RS", "Russia"),
    "S. Hemis.": ("SF", "South Africa"),
    "Saudi Arabia": ("SA", "Saudi Arabia"),
    "Sel. Mideast": ("SA", "Saudi Arabia"),
    "South Africa": ("SF", "South Africa"),
    "South Korea": ("KS", "Korea, South"),
    "Southeast Asia": ("TH", "Thailand"),
    "Thailand": ("TH", "Thailand"),
    "Turkey": ("TU", "Turkey"),
    "Ukraine": ("UP", "Ukraine"),
    "United States": ("US", "United States"),
    "Vietnam": ("VM", "Vietnam"),
}
# What a group has beyond its printed rows: countries that only the notes name.
BEYOND = {
    ("Major Exporters", COTTON): ("SY", "Syria"),
    ("Major Importers", COTTON): ("TW", "Taiwan"),
    ("Major Exporters", "2222000"): ("UY", "Uruguay"),
    ("Major Importers", "2222000"): ("JA", "Japan"),
    ("Major Importers", "0813100"): ("JA", "Japan"),
    ("Major Exporters", "4232000"): ("PA", "Paraguay"),
    ("Major Importers", "4232000"): ("BG", "Bangladesh"),
    ("Major Importers", "0410000"): ("TU", "Turkey"),
    # Not in the note since 2021, but PSD Online of 2025-11 has just these figures for Taiwan.
    ("Major Importers", CORN): ("TW", "Taiwan"),
    # The same, and the row of the note that the table does not print.
    ("Major Importers", COARSE): ("TW", "Taiwan"),
    ("Major Exporters", COARSE): ("SF", "South Africa"),
    ("Major Importers", "0422110"): ("IV", "Cote d'Ivoire"),
}
GROUPS = {
    "Major Exporters": "Major exporters",
    "Major Importers": "Major importers",
    "Total Foreign": "Total foreign",
    "World": "World",
    "World Less China": "World less China",
}
COLUMNS = ("beginning_stocks", "production", "imports", "domestic_use", "exports", "ending_stocks")
ATTRIBUTES = {
    "beginning_stocks": ("020", "Beginning Stocks"),
    "production": ("028", "Production"),
    "imports": ("057", "Imports"),
    "domestic_use": ("125", "Domestic Consumption"),
    "exports": ("088", "Exports"),
    "ending_stocks": ("176", "Ending Stocks"),
}
COTTONS = {**ATTRIBUTES, "domestic_use": ("142", "Domestic Use"), "loss": ("150", "Loss")}
ROUNDING = Decimal("0.05")  # a group of ten rows, each printed with two decimals


def printed() -> dict[Key, Table]:
    tables: dict[Key, Table] = {}
    with FILE.open(newline="") as file:
        for line in csv.DictReader(file):
            key = (line["commodity_code"], int(line["market_year"]))
            figures = {name: Decimal(line[name] or 0) for name in COTTONS}
            tables.setdefault(key, {})[line["area"]] = (line["within"], figures)
    return tables


def rest(whole: Figures, parts: Iterable[Figures]) -> Figures:
    listed = list(parts)
    return {name: value - sum(part[name] for part in listed) for name, value in whole.items()}


def rows_of(commodity: str, table: Table) -> list[tuple[str, str, Figures]]:
    """Rows of countries for a table, with one for what a group and the world have beyond them."""
    rows = [(*CODES[area], figures) for area, (_, figures) in table.items() if area not in GROUPS]
    for group in ("Major Exporters", "Major Importers"):
        inside = [figures for within, figures in table.values() if within == group]
        if (group, commodity) in BEYOND:
            rows.append((*BEYOND[group, commodity], rest(table[group][1], inside)))
    world = rest(table["World"][1], (figures for _, _, figures in rows))
    if commodity == COARSE or commodity.startswith(
        "04"
    ):  # the world's use is printed with an adjustment
        comes = world["beginning_stocks"] + world["production"] + world["imports"]
        world["domestic_use"] = comes - world["exports"] - world["ending_stocks"]
    return [*rows, ("NO", "Norway", world)]


def balances(tables: Mapping[Key, Table]) -> Iterator[tuple[str, int, str, str, Figures]]:
    """Commodity, market year, code and name of the country, and figures of each balance."""
    for (commodity, year), table in tables.items():
        rows = rows_of(commodity, table)
        if commodity == COARSE:
            corn = {code: figures for code, _, figures in rows_of(CORN, tables[CORN, year])}
            rows = [
                (code, name, rest(whole, [corn[code]] if code in corn else []))
                for code, name, whole in rows
            ]
        for code, name, figures in rows:
            yield BARLEY if commodity == COARSE else commodity, year, code, name, figures


def release_of(tables: Mapping[Key, Table]) -> bytes:
    """The member of a release with these balances, as USDA writes it."""
    lines = []
    for commodity, year, code, country, figures in balances(tables):
        unit = '27,"1000 480 lb. Bales"' if commodity == COTTON else '08,"(1000 MT)"'
        attributes = COTTONS if commodity == COTTON else ATTRIBUTES
        for name, (attribute, description) in attributes.items():
            lines.append(
                f'{commodity},"{NAMES[commodity]}",{code},"{country}",{year},2025,05,'
                f'{attribute},"{description}",{unit},{1000 * figures[name]:.4f}\r\n'
            )
    lines.sort(key=lambda line: [part.strip('"').casefold() for part in line.split(",")])
    return HEADER + b"\r\n" + "".join(lines).encode()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, projects: tuple[Path, Path]) -> Releases:
    """One release with the balances of all tables."""

    def publish(releases: Releases) -> None:
        releases.keep("2025-05", zip_text(release_of(printed()), when="2025-05-12 11:37"))

    return built_once(tmp_path_factory, "tables of WASDE", projects, publish)[0]


def test_three_mays_of_wasde_agree_with_the_groups_of_the_models(built: Releases) -> None:
    sums = ", ".join(f"sum({name})" for name in COLUMNS)
    found = {
        (str(code), int(str(year)), str(group)): figures
        for code, year, group, *figures in built.ask(
            f"SELECT commodity_code, market_year, group_name, {sums} "
            "FROM serving.agg_group_balance GROUP BY ALL UNION ALL "
            "SELECT 'coarse grains', market_year, "
            f"replace(balance.group_name, ' of coarse grains', ''), {sums} "
            "FROM serving.agg_group_balance AS balance "
            "JOIN serving.dim_commodity_group AS part USING (commodity_code) "
            "WHERE part.group_name = 'Coarse grains' AND balance.group_name NOT IN "
            "('Major exporters', 'Major importers') GROUP BY ALL"
        )
    }
    compared, wrong = 0, []
    for key, table in printed().items():
        for area, group in GROUPS.items():
            _, figures = table[area]
            for name, value in zip(COLUMNS, found[*key, group], strict=True):
                compared += 1
                if abs(Decimal(str(value)) / 1000 - figures[name]) > ROUNDING:
                    wrong.append((key, group, name, value, figures[name]))
    assert wrong == []
    assert compared == 3 * 8 * 5 * 6


def test_stocks_to_use_of_the_world_is_that_of_wasdes_figures(built: Releases) -> None:
    ratios = {
        str(key): float(str(percent))
        for key, percent in built.ask(
            "SELECT commodity_code || market_year, stocks_to_use_percent "
            "FROM serving.agg_world_balance"
        )
    }
    for (commodity, year), table in printed().items():
        if commodity == COARSE:
            continue  # no commodity of its own
        _, world = table["World"]
        ratio = 100 * world["ending_stocks"] / world["domestic_use"]
        assert ratios[f"{commodity}{year}"] == pytest.approx(float(ratio), abs=0.06)


# Notes under the tables of WASDE no. 494 (2011-05-11), 541 (2015-05-12), 587 (2019-04-09) and 588
# (2019-05-10), the last two beside each other.
LISTS = {
    ("2011-05-01", "Major exporters", CORN): "AR SF",
    ("2015-05-01", "Major exporters", CORN): "AR BR SF",
    ("2019-04-01", "Major exporters", "0410000"): "AR AS CA E4",
    ("2019-05-01", "Major exporters", "0410000"): "AR AS CA E4 RS UP",
    ("2019-04-01", "Major importers", "0422110"): "BR E4 HK ID IR IV IZ NI RP SA",
    ("2019-05-01", "Major importers", "0422110"): "BG CH E4 ID IR IV IZ NI RP SA",
    ("2011-05-01", "Major exporters", "Coarse grains"): "AR AS CA SF",
    ("2019-05-01", "Major exporters", "Coarse grains"): "AR AS BR CA RS SF UP",
    ("2011-05-01", "Major importers", "4232000"): "CH IN PK",
    ("2015-05-01", "Major importers", "4232000"): "AG CH EG IN MO TS",
}


def test_a_month_has_the_list_of_its_own_report(built: Releases) -> None:
    for (month, group, commodity), expected in LISTS.items():
        listed = built.ask(
            "SELECT country_code FROM raw.major_trader "
            f"WHERE group_name = '{group}' AND commodity_code = '{commodity}' "
            f"AND DATE '{month}' BETWEEN first_month AND coalesce(last_month, DATE '{month}') "
            "ORDER BY country_code"
        )
        assert [code for (code,) in listed] == expected.split(), (month, group, commodity)
