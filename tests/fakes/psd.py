"""Archives of PSD Online as USDA writes them, from rows of our own.

Form of the files: USDA FAS, PSD Online. CRLF, ASCII, descriptions always in quotes and codes never,
four decimals, one deflated member at the root, sorted by the descriptions whatever their case.
"""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

HEADER = (
    b"Commodity_Code,Commodity_Description,Country_Code,Country_Name,Market_Year,Calendar_Year,"
    b"Month,Attribute_ID,Attribute_Description,Unit_ID,Unit_Description,Value"
)
ALL = "psd_alldata_csv.zip"

WHEAT, CORN, COFFEE, SOYBEANS = "0410000", "0440000", "0711100", "2222000"
COMMODITIES = {
    WHEAT: "Wheat",
    CORN: "Corn",
    COFFEE: "Coffee, Green",
    SOYBEANS: "Oilseed, Soybean",
}
COUNTRIES = {
    "AR": "Argentina",
    "AS": "Australia",
    "BR": "Brazil",
    "CA": "Canada",
    "CH": "China",
    "E4": "European Union",
    "NA": "Netherlands Antilles",
    "RS": "Russia",
    "UK": "United Kingdom",
    "US": "United States",
    "VM": "Vietnam",
}
ATTRIBUTES = {
    "004": "Area Harvested",
    "020": "Beginning Stocks",
    "028": "Production",
    "029": "Arabica Production",
    "053": "Robusta Production",
    "056": "Other Production",
    "057": "Imports",
    "058": "Bean Imports",
    "075": "Roast & Ground Imports",
    "081": "TY Imports",
    "082": "Soluble Imports",
    "084": "TY Imp. from U.S.",
    "086": "Total Supply",
    "088": "Exports",
    "090": "Bean Exports",
    "107": "Roast & Ground Exports",
    "113": "TY Exports",
    "114": "Soluble Exports",
    "125": "Domestic Consumption",
    "130": "Feed Dom. Consumption",
    "141": "Rst,Ground Dom. Consum",
    "154": "Soluble Dom. Cons.",
    "176": "Ending Stocks",
    "178": "Total Distribution",
    "184": "Yield",
    "192": "FSI Consumption",
}
UNITS = {
    "02": "(1000 60 KG BAGS)",
    "04": "(1000 HA)",
    "08": "(1000 MT)",
    "26": "(MT/HA)",
}
GRAIN_ATTRIBUTES = (
    *("004", "020", "125", "176", "088", "130", "192", "057"),
    *("028", "178", "086", "113", "084", "081", "184"),
)
COFFEE_ATTRIBUTES = (
    *("029", "090", "058", "020", "125", "176", "088", "057", "056", "028"),
    *("107", "075", "053", "141", "154", "114", "082", "178", "086"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a file.

    Attributes:
        stamp: Release in which the balance was last edited, `2025-11`; month `00` before 2006.
        value: In the unit of the attribute.
    """

    commodity: str
    country: str
    market_year: int
    stamp: str
    attribute: str
    value: float

    @property
    def unit(self) -> str:
        """Code of the unit."""
        if self.attribute in {"004", "184"}:
            return {"004": "04", "184": "26"}[self.attribute]
        return "02" if self.commodity == COFFEE else "08"

    @property
    def place(self) -> tuple[str, str, int, str]:
        """Where the line stands in the file."""
        return (
            COMMODITIES[self.commodity].casefold(),
            COUNTRIES[self.country].casefold(),
            self.market_year,
            ATTRIBUTES[self.attribute].casefold(),
        )

    def line(self) -> bytes:
        """The line with its end."""
        year, month = self.stamp.split("-")
        return (
            f'{self.commodity},"{COMMODITIES[self.commodity]}",'
            f'{self.country},"{COUNTRIES[self.country]}",{self.market_year},{year},{month},'
            f'{self.attribute},"{ATTRIBUTES[self.attribute]}",'
            f'{self.unit},"{UNITS[self.unit]}",{self.value:.4f}\r\n'
        ).encode()


def balance(
    commodity: str, country: str, market_year: int, stamp: str, figures: Mapping[str, float]
) -> list[Row]:
    """All rows of one balance; totals and what is not in *figures* (by attribute) follow."""
    values = dict.fromkeys(COFFEE_ATTRIBUTES if commodity == COFFEE else GRAIN_ATTRIBUTES, 0.0)
    values.update(figures)
    if commodity == COFFEE:
        values["028"] = values["029"] + values["053"] + values["056"]
        values["057"] = values["058"] + values["075"] + values["082"]
        values["088"] = values["090"] + values["107"] + values["114"]
        values["125"] = values["141"] + values["154"]
    else:
        values["192"] = values["125"] - values["130"]
        values["184"] = round(values["028"] / values["004"], 2) if values["004"] else 0.0
        for trade_year, market_year_too in (("081", "057"), ("113", "088")):
            values[trade_year] = figures.get(trade_year, values[market_year_too])
    values["086"] = values["020"] + values["028"] + values["057"]
    values["178"] = values["086"]
    values["176"] = values["086"] - values["088"] - values["125"]
    return [
        Row(
            commodity=commodity,
            country=country,
            market_year=market_year,
            stamp=stamp,
            attribute=attribute,
            value=value,
        )
        for attribute, value in values.items()
    ]


def csv_text(rows: Iterable[Row]) -> bytes:
    """The member of an archive."""
    lines = (row.line() for row in sorted(rows, key=lambda row: row.place))
    return HEADER + b"\r\n" + b"".join(lines)


def zip_text(text: bytes, file: str = ALL, when: str = "2025-11-14 11:37") -> bytes:
    """An archive of that name; *when* is the date of its member, local time without a zone."""
    member = zipfile.ZipInfo(
        file.removesuffix("_csv.zip") + ".csv", datetime.fromisoformat(when).timetuple()[:6]
    )
    member.create_system = 0  # FAT, as in all archives seen
    member.compress_type = zipfile.ZIP_DEFLATED
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(member, text, compresslevel=9)
    return out.getvalue()


def zip_rows(rows: Iterable[Row], file: str = ALL, when: str = "2025-11-14 11:37") -> bytes:
    """An archive of *rows*."""
    return zip_text(csv_text(rows), file, when)


def balances(
    stamp: str,
    *,
    years: Iterable[int] = range(2021, 2026),
    countries: Iterable[str] = ("BR", "NA", "US"),
    commodities: Iterable[str] = (CORN, WHEAT),
    seed: int = 0,
) -> list[Row]:
    """Rows of made-up grains that add up: one year's ending stocks are what the next begins with.

    The same arguments give the same rows, and *seed* other ones.
    """
    rows: list[Row] = []
    for commodity in commodities:
        for country in countries:
            chance = random.Random(f"{seed}/{commodity}/{country}")  # noqa: S311 -- made-up rows
            stocks = float(chance.randrange(100, 1000))
            for year in years:
                area, production = chance.randrange(100, 900), chance.randrange(1000, 9000)
                supply = stocks + production
                use = round(supply * 0.6)
                made = balance(
                    commodity,
                    country,
                    year,
                    stamp,
                    {
                        "004": area,
                        "020": stocks,
                        "028": production,
                        "057": 10,
                        "088": round(supply * 0.3),
                        "125": use,
                        "130": use // 2,
                    },
                )
                stocks = next(row.value for row in made if row.attribute == "176")
                rows += made
    return rows
