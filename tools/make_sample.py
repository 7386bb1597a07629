"""Write the sample that comes with the psdonline source: a small archive tree in USDA's layout.

    python tools/make_sample.py

The figures are public; where each comes from stands beside it. What USDA gives in bushels or in
millions of tons is turned into thousands of tons here, and ending stocks are what is left, so a
figure can differ from USDA's own by a rounding. Same figures, same bytes.

What there is to see in it:

- three releases, 2018-12, 2019-02 and 2019-05; there is none in 2019-01, as USDA was closed;
- revisions: most 2018 balances between 2018-12 and 2019-02, and the United States once more;
- a new market year, 2019, in 2019-05;
- a rebuilt month: 2018-12 was first published on WASDE day (the 11th) and again with the coffee
  circular three days later. As on USDA's server the later one is in its place. What it replaced is
  in `first_published`, a tree of its own;
- traps: the country code NA, zeros that are values, a balance from before releases were tracked
  (month 00), and coffee in the labelling of its time: its 2019 is what is 2018 today.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # the writer of archives is the tests'

from fakes.psd import ALL, COFFEE, CORN, WHEAT, Row, balance, csv_text, zip_text  # noqa: E402

SAMPLE = ROOT / "plugins/sources/psdonline/src/materia_psdonline/sample"

# Weights of a bushel: wheat 60 lb, corn 56 lb; a pound is 0.45359237 kg (USDA, WASDE, conversion
# table). Acres to hectares: 0.404686.
WHEAT_TONS_PER_BUSHEL = 60 * 0.45359237 / 1000
CORN_TONS_PER_BUSHEL = 56 * 0.45359237 / 1000
HECTARES_PER_ACRE = 0.404686

AREA, BEGINNING, PRODUCTION, IMPORTS = "004", "020", "028", "057"
EXPORTS, USE, FEED = "088", "125", "130"
ARABICA, ROBUSTA, BEAN_EXPORTS, SOLUBLE_EXPORTS = "029", "053", "090", "114"
ROASTED_USE, SOLUBLE_USE = "141", "154"

Figures = Mapping[str, float]
Balances = dict[tuple[str, str, int], tuple[str, Figures]]


def bushels(  # noqa: PLR0917 -- one row of USDA's table, in the order of its columns
    tons_per_bushel: float,
    area: float,
    beginning: float,
    production: float,
    imports: float,
    feed: float,
    other_use: float,
    exports: float,
) -> Figures:
    """A United States balance: millions of acres, then millions of bushels."""

    def tons(millions: float) -> float:
        return float(round(millions * tons_per_bushel * 1000))

    return {
        AREA: float(round(area * 1000 * HECTARES_PER_ACRE)),
        BEGINNING: tons(beginning),
        PRODUCTION: tons(production),
        IMPORTS: tons(imports),
        FEED: tons(feed),
        USE: tons(feed) + tons(other_use),
        EXPORTS: tons(exports),
    }


def tons(  # noqa: PLR0917 -- as above
    area: float,
    beginning: float,
    production: float,
    imports: float,
    feed: float,
    use: float,
    exports: float,
) -> Figures:
    """A balance of the world table: millions of hectares, then millions of tons."""
    names = (AREA, BEGINNING, PRODUCTION, IMPORTS, FEED, USE, EXPORTS)
    values = (area, beginning, production, imports, feed, use, exports)
    return {name: float(round(value * 1000)) for name, value in zip(names, values, strict=True)}


def wheat(*figures: float) -> Figures:
    """As `bushels`."""
    return bushels(WHEAT_TONS_PER_BUSHEL, *figures)


def corn(*figures: float) -> Figures:
    """As `bushels`."""
    return bushels(CORN_TONS_PER_BUSHEL, *figures)


def coffee(arabica: float, robusta: float, beginning: float, beans: float) -> Figures:
    """A balance of Brazil in thousands of bags.

    Production is USDA's. Stocks, exports and use are round figures of ours that add up.
    """
    return {
        ARABICA: arabica,
        ROBUSTA: robusta,
        BEGINNING: beginning,
        BEAN_EXPORTS: beans,
        SOLUBLE_EXPORTS: 3900,
        ROASTED_USE: 22200,
        SOLUBLE_USE: 1000,
    }


def vietnam(arabica: float, robusta: float) -> Figures:
    """A balance of Vietnam, as `coffee`; how production divides is ours too."""
    return {
        ARABICA: arabica,
        ROBUSTA: robusta,
        BEGINNING: 900,
        BEAN_EXPORTS: 25000,
        ROASTED_USE: 2700,
        SOLUBLE_USE: 200,
    }


# Figures of ours: zeros under the code that is read as "no value" all too easily, and a coffee
# balance whose month 00 shows the labelling (its own year is one less than its market year).
TRAPS: Balances = {
    (CORN, "NA", 2000): ("2000-00", {}),
    (COFFEE, "NA", 1999): ("1998-00", {"058": 12, ROASTED_USE: 12}),
}

# WASDE no. 584, 11 December 2018: United States corn and wheat, and world wheat. The corn of
# 2016/17 and 2017/18, and all of December, stand also in no. 585. Wheat areas of the others: USDA
# FAS, PSD Online, market year 2018, rounded to 0.1 million hectares; the European Union still has
# the United Kingdom in it.
DECEMBER: Balances = {
    (CORN, "US", 2016): ("2018-10", corn(86.7, 1737, 15148, 57, 5470, 6885, 2294)),
    (CORN, "US", 2017): ("2018-10", corn(82.7, 2293, 14609, 36, 5304, 7056, 2438)),
    (CORN, "US", 2018): ("2018-12", corn(81.8, 2140, 14626, 45, 5500, 7080, 2450)),
    (WHEAT, "US", 2018): ("2018-12", wheat(39.6, 1099, 1884, 140, 110, 1039, 1000)),
    (WHEAT, "AR", 2018): ("2018-12", tons(6.0, 1.00, 19.50, 0.01, 0.10, 5.80, 14.20)),
    (WHEAT, "AS", 2018): ("2018-12", tons(10.4, 5.70, 17.00, 0.15, 5.50, 9.00, 10.50)),
    (WHEAT, "BR", 2018): ("2018-12", tons(2.0, 1.31, 4.80, 7.50, 0.50, 12.10, 0.30)),
    (WHEAT, "CA", 2018): ("2018-12", tons(9.9, 6.18, 31.80, 0.45, 4.30, 9.30, 24.00)),
    (WHEAT, "E4", 2018): ("2018-12", tons(25.5, 14.13, 137.60, 6.50, 53.00, 125.00, 22.00)),
}

# Coffee: World Markets and Trade, June 2018: Brazil 44.5 million bags of arabica and 60.2 in all,
# Vietnam 29.9. Labelled 2019, as 2018/19 was then.
COFFEE_BEFORE: Balances = {
    (COFFEE, "BR", 2019): ("2018-06", coffee(44500, 15700, 3000, 31400)),
    (COFFEE, "VM", 2019): ("2018-06", vietnam(1000, 28900)),
}

# Coffee: World Markets and Trade, December 2018: Brazil 46.9 and 16.5 million bags, Vietnam 30.4.
COFFEE_AFTER: Balances = {
    (COFFEE, "BR", 2019): ("2018-12", coffee(46900, 16500, 3000, 33200)),
    (COFFEE, "VM", 2019): ("2018-12", vietnam(1000, 29400)),
}

# WASDE no. 585, 8 February 2019. Canada and the European Union are stamped and unchanged, as every
# balance of the newest market year is in each release.
FEBRUARY: Balances = {
    (CORN, "US", 2018): ("2019-02", corn(81.7, 2140, 14420, 40, 5375, 7040, 2450)),
    (WHEAT, "US", 2018): ("2019-02", wheat(39.6, 1099, 1884, 140, 80, 1033, 1000)),
    (WHEAT, "AR", 2018): ("2019-02", tons(6.0, 0.94, 19.20, 0.01, 0.05, 5.65, 14.00)),
    (WHEAT, "AS", 2018): ("2019-02", tons(10.4, 5.87, 17.00, 0.15, 5.50, 9.00, 10.00)),
    (WHEAT, "BR", 2018): ("2019-02", tons(2.0, 1.31, 5.43, 7.50, 0.50, 12.10, 0.50)),
    (WHEAT, "CA", 2018): ("2019-02", DECEMBER[WHEAT, "CA", 2018][1]),
    (WHEAT, "E4", 2018): ("2019-02", DECEMBER[WHEAT, "E4", 2018][1]),
}

# WASDE no. 588, 10 May 2019: the first figures of 2019/20, here for the United States alone. Wheat
# 2018/19: exports 925, ending stocks 1,127; 2019/20: production 1,897, yield 48.6, exports 900,
# ending stocks 1,141, feed 90. Corn 2018/19: exports 2,300, ending stocks 2,095; 2019/20:
# production 15,030, yield 176.0, exports 2,275, ending stocks 2,485. What else they need to add up
# is ours: corn imports of 2019/20, and how use divides into feed and other where it is not given.
MAY: Balances = {
    (CORN, "US", 2018): ("2019-05", corn(81.7, 2140, 14420, 40, 5300, 6905, 2300)),
    (CORN, "US", 2019): ("2019-05", corn(85.4, 2095, 15030, 35, 5450, 6950, 2275)),
    (WHEAT, "US", 2018): ("2019-05", wheat(39.6, 1099, 1884, 145, 50, 1026, 925)),
    (WHEAT, "US", 2019): ("2019-05", wheat(39.0, 1127, 1897, 145, 90, 1038, 900)),
}

FIRST = TRAPS | DECEMBER | COFFEE_BEFORE
REBUILT = FIRST | COFFEE_AFTER
# Where each archive is, what is in it, and the date of its member: late morning of release day.
ARCHIVES = {
    "first_published/2018/12": (FIRST, "2018-12-11 11:37"),
    "2018/12": (REBUILT, "2018-12-14 15:02"),
    "2019/02": (REBUILT | FEBRUARY, "2019-02-08 11:37"),
    "2019/05": (REBUILT | FEBRUARY | MAY, "2019-05-10 11:37"),
}


def rows_of(balances: Balances) -> list[Row]:
    """All rows of the balances; one year's ending stocks are what the next begins with.

    Each figure is rounded by itself on its way to thousands of tons, so the chain is closed here.
    """
    rows: list[Row] = []
    ending: dict[tuple[str, str, int], float] = {}
    for (commodity, country, year), (stamp, figures) in sorted(balances.items()):
        carried = ending.get((commodity, country, year - 1), figures.get(BEGINNING, 0.0))
        made = balance(commodity, country, year, stamp, {**figures, BEGINNING: carried})
        ending[commodity, country, year] = next(r.value for r in made if r.attribute == "176")
        rows += made
    return rows


def archives() -> dict[str, bytes]:
    """The bytes of every file of the sample, by its path in the tree."""
    return {
        f"{folder}/{ALL}": zip_text(csv_text(rows_of(balances)), when=when)
        for folder, (balances, when) in ARCHIVES.items()
    }


def main() -> None:
    """Write the sample into the source's package."""
    for name, archive in archives().items():
        path = SAMPLE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive)
        print(f"{path.relative_to(ROOT)}: {len(archive):,} bytes")


if __name__ == "__main__":
    main()
