"""Build a mirror of made-up monthly releases in the form of USDA's PSD Online archives.

    python benchmarks/mirror.py DIR --releases 64 --rows 2060000 --seed 1

Form and rates follow the real files (USDA FAS, PSD Online, releases of 2022-12 and 2025-11): 12
columns, CRLF, descriptions in quotes, sorted by the descriptions; 13 rows a balance, 31 zeros in
100; each release is a whole snapshot in which 2.4 balances in 100 carry a new stamp: all of the
newest market year, 39 in 100 of the one before it, 4 of the one before that, one in a thousand of
all others (as in the grains of 2025-11). Half of these have other values in a third of their rows.
A new market year comes in May. All names and figures are invented. The same arguments give the same
text.
"""

from __future__ import annotations

import argparse
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

COMMODITIES = 60
FIRST = date(2006, 8, 1)
HEADER = (
    "Commodity_Code,Commodity_Description,Country_Code,Country_Name,Market_Year,Calendar_Year,"
    "Month,Attribute_ID,Attribute_Description,Unit_ID,Unit_Description,Value\r\n"
)
# random() depends on threads; md5 is the same everywhere, and cheap for a balance.
CHANCE = "('0x' || left(md5(concat_ws('/', {})), 7))::INTEGER / 268435456"


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """Codes of the balances.

    Attributes:
        commodities: Their codes as numbers.
        countries: Two letters each; as many of them are used as the number of rows needs.
        attributes: Their ids.
    """

    commodities: tuple[int, ...]
    countries: tuple[str, ...]
    attributes: tuple[int, ...]


INVENTED = Codes(
    commodities=tuple(11000 * (one + 1) for one in range(COMMODITIES)),
    countries=tuple(chr(65 + one // 26) + chr(65 + one % 26) for one in range(26 * 26)),
    attributes=tuple(7 * one + 4 for one in range(13)),
)
# With these, models have figures in columns that they compute with, and in groups that they add up.
USDA = Codes(
    commodities=(
        *(410000, 422110, 430000, 440000, 451000, 452000, 459100, 459200, 459900, 612000, 711100),
        *(813100, 813101, 813300, 2222000, 2222001, 2223000, 2631000, 4232000, 4232001, 4233000),
        *(11000, 111000, 224200, 230000, 574000, 577400, 585100, 4236000),
        *range(5000000, 5000000 + 1000 * (COMMODITIES - 29), 1000),
    ),
    countries=(
        *("US", "CH", "E2", "E3", "E4", "UK", "FR", "GM", "IT", "HR", "BR", "AR", "PA", "UY", "IN"),
        *("CA", "AS", "RS", "UP", "RO", "BU", "SP", "PO", "EG", "MO", "TU", "AG", "TS", "IR", "IZ"),
        *("SA", "JA", "KS", "TW", "ID", "MX", "NI", "SF", "VM", "TH", "NA", "UR", "YO", "EZ"),
    ),
    attributes=(4, 20, 28, 57, 81, 86, 88, 125, 130, 176, 178, 184, 192),
)


def build(
    directory: Path, *, releases: int, rows: int, seed: int, codes: Codes = INVENTED
) -> list[Path]:
    """The archives, oldest first; those that are there already are kept as they are."""
    directory.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection, tempfile.TemporaryDirectory(dir=directory) as scratch:
        _balances(connection, rows, seed, codes)
        paths = []
        with ThreadPoolExecutor(1) as packer:
            month = FIRST
            for number in range(releases):
                _next_release(connection, month, number, seed)
                path = directory / f"{month:%Y}/{month:%m}/psd_alldata_csv.zip"
                paths.append(path)
                if not path.exists():
                    text = Path(scratch) / f"{number}.csv"
                    _write(connection, text)
                    packer.submit(_pack, text, path)
                month = (month + timedelta(days=32)).replace(day=1)
    return paths


def _balances(connection: duckdb.DuckDBPyConnection, rows: int, seed: int, codes: Codes) -> None:
    years = 60
    attributes, commodities = len(codes.attributes), len(codes.commodities)
    countries = max(1, round(rows / attributes / commodities / years))
    connection.execute(
        f"""
        CREATE TABLE balance AS
        SELECT c, k, {FIRST.year - years + 1} + y AS year,
            {FIRST.year - years + 1} + y AS stamp_year, 0 AS stamp_month, 0 AS version
        FROM range({commodities}) AS c (c), range({countries}) AS k (k), range({years}) AS y (y)
        ORDER BY c, k, y;
        SET VARIABLE seed = {seed};
        """
    )
    connection.execute(
        """CREATE TABLE commodity AS
        SELECT c, format('{:07d},"Commodity {:02d}",', $codes[c + 1], c) AS commodity
        FROM range(len($codes)) AS c (c)""",
        {"codes": list(codes.commodities)},
    )
    connection.execute(
        """CREATE TABLE country AS
        SELECT k, format('{},"Country, {:03d}",', $codes[k + 1], k) AS country
        FROM range(len($codes)) AS k (k)""",
        {"codes": list(codes.countries)},
    )
    connection.execute(
        """CREATE TABLE attribute AS
        SELECT a, format('{:03d},"Attribute {:02d}",08,"(1000 MT)",', $ids[a + 1], a) AS attribute
        FROM range(len($ids)) AS a (a)""",
        {"ids": list(codes.attributes)},
    )


def _next_release(
    connection: duckdb.DuckDBPyConnection, month: date, number: int, seed: int
) -> None:
    newest = month.year if month.month >= 5 else month.year - 1
    if number and month.month == 5:
        connection.execute(f"""
            INSERT INTO balance SELECT DISTINCT c, k, {newest}, {month.year}, {month.month}, 0
            FROM balance
        """)
    touched = CHANCE.format(f"{seed}, {number}, c, k, year")
    revised = CHANCE.format(f"{seed}, {number}, 'revised', c, k, year")
    connection.execute(f"""
        UPDATE balance SET stamp_year = {month.year}, stamp_month = {month.month},
            version = CASE WHEN {revised} < 0.5 THEN {number} + 1 ELSE version END
        WHERE {touched} < CASE {newest} - year
            WHEN 0 THEN 1 WHEN 1 THEN 0.39 WHEN 2 THEN 0.04 ELSE 0.001 END
    """)


def _write(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    value = CHANCE.format("getvariable('seed'), c, k, year, a, if(a % 3 = 0, version, 0)")
    connection.execute(f"""
        COPY (
            SELECT commodity || country
                || format('{{}},{{}},{{:02d}},', year, stamp_year, stamp_month)
                || attribute || format('{{}}.0000', greatest(0, ({value} * 29000)::INTEGER - 9000))
                || chr(13)
            FROM balance JOIN commodity USING (c) JOIN country USING (k), attribute
            ORDER BY c, k, year, a
        ) TO '{path}' (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\x01')
    """)


def _pack(text: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        member = zipfile.ZipInfo("psd_alldata.csv", (2025, 11, 14, 11, 37, 0))
        member.compress_type = zipfile.ZIP_DEFLATED
        with text.open("rb") as source, archive.open(member, "w") as target:
            target.write(HEADER.encode())
            while chunk := source.read(1 << 20):
                target.write(chunk)
    part.replace(path)
    text.unlink()


def main() -> None:
    """Build what the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--releases", type=int, default=2)
    parser.add_argument("--rows", type=int, default=2_060_000, help="of the oldest release")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--usda-codes", action="store_true", help="some of USDA's, none invented")
    options = parser.parse_args()
    for path in build(
        options.directory,
        releases=options.releases,
        rows=options.rows,
        seed=options.seed,
        codes=USDA if options.usda_codes else INVENTED,
    ):
        print(path, f"{path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
