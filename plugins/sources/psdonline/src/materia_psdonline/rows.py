"""CSV text -> rows of the raw layer: parse what DuckDB can, refuse what cannot be kept exactly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import duckdb

from materia_psdonline.archive import COLUMNS as CSV_COLUMNS
from materia_psdonline.archive import ArchiveError
from materia_psdonline.history import KEY, LINE

TYPES = {name.lower(): kind for name, kind in LINE.items()}
# The width of a code is lost when it is kept as a number, so it is checked here.
FORMS = {
    "commodity": re.compile(r"\d{7}"),
    "country": re.compile(r"[0-9A-Z]{2}"),
    "attribute": re.compile(r"\d{3}"),
    "unit": re.compile(r"\d{2}"),
}
MONTH = re.compile(r"0\d|1[0-2]")
LABELLED = {
    "commodity": ("Commodity_Code", "Commodity_Description"),
    "country": ("Country_Code", "Country_Name"),
    "attribute": ("Attribute_ID", "Attribute_Description"),
    "unit": ("Unit_ID", "Unit_Description"),
}
KINDS = tuple(LABELLED)
DECIMALS = 4
# How many decimals a value has. Nearly all have four zeros, which is quickly seen. What DuckDB
# would read and round has more than any other.
ROUNDED = 99
_DECIMALS = f"""
    CASE WHEN contains(Market_Year, '.') OR contains(Calendar_Year, '.') THEN {ROUNDED}
        WHEN suffix(Value, '.0000') THEN 4
        WHEN contains(lower(Value), 'e') THEN {ROUNDED}
        WHEN contains(Value, '.') THEN strlen(Value) - position('.' IN Value)
        ELSE 0 END
"""


def parse(connection: duckdb.DuckDBPyConnection, path: str, table: str) -> None:
    """Fill the temporary *table* with the lines of the CSV at *path*, without descriptions.

    Raises:
        ArchiveError: a line or a value that is not what its column holds.
    """
    columns = ", ".join(
        f"{name} {kind}{'' if name == 'value' else ' NOT NULL'}" for name, kind in LINE.items()
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} ({columns})")
    try:
        connection.execute(f"INSERT INTO {table} SELECT {', '.join(LINE)} FROM {_csv(path, TYPES)}")
    except (duckdb.ConversionException, duckdb.InvalidInputException) as error:
        raise ArchiveError(_reason(error)) from error
    except duckdb.ConstraintException as error:
        raise ArchiveError(f"has an empty code or date: {error}") from error


def read_labels(connection: duckdb.DuckDBPyConnection, path: str) -> dict[tuple[str, str], str]:
    """The descriptions in the CSV at *path*, with every code's form checked on the way.

    Raises:
        ArchiveError: a code of another width, more decimals than are kept, or one code with two
            descriptions.
    """
    columns = [name for pair in LABELLED.values() for name in pair]
    try:
        # Two coarse groupings cost less than one for each kind of code.
        groups = connection.execute(f"""
            SELECT grouping(Commodity_Code), Month, decimals, {", ".join(columns)}
            FROM (SELECT *, {_DECIMALS} AS decimals FROM {_csv(path, {})})
            GROUP BY GROUPING SETS
                (({", ".join(columns[:4])}), ({", ".join(columns[4:])}, Month, decimals))
        """).fetchall()
    except duckdb.InvalidInputException as error:
        raise ArchiveError(_reason(error)) from error
    found: dict[tuple[str, str], str] = {}
    for second, month, decimals, *texts in groups:
        if second and not MONTH.fullmatch(month or ""):
            raise ArchiveError(f"has {month!r} as a month code")
        if second and decimals == ROUNDED:
            raise ArchiveError("has a value with an exponent, or a year with a fraction")
        if second and (decimals or 0) > DECIMALS:
            raise ArchiveError(f"has a value with {decimals} decimals, at most {DECIMALS} are kept")
        for place in (2, 3) if second else (0, 1):
            kind, code, label = KINDS[place], texts[2 * place], texts[2 * place + 1] or ""
            if code is None or not FORMS[kind].fullmatch(code):
                raise ArchiveError(f"has {code!r} as a {kind} code")
            if (other := found.setdefault((kind, code), label)) != label:
                raise ArchiveError(f"describes the {kind} {code} as both {other!r} and {label!r}")
    return found


def refuse_duplicates(connection: duckdb.DuckDBPyConnection, table: str, balances: str) -> None:
    """Raise ArchiveError when two rows of the *table* share their key.

    Balances of which `history.encode` has found that they have each attribute once are not looked
    at again.
    """
    if connection.execute(f"SELECT count(*) FROM {balances} WHERE NOT once").fetchone() == (0,):
        return
    twice = connection.execute(f"""
        SELECT {", ".join(KEY)}, count(*) FROM {table} GROUP BY ALL HAVING count(*) > 1
        ORDER BY ALL LIMIT 1
    """).fetchone()
    if twice is not None:
        commodity, country, year, attribute, count = twice
        raise ArchiveError(
            f"has {count} rows for commodity {commodity:07}, country {country}, "
            f"market year {year}, attribute {attribute:03}"
        )


def _csv(path: str, types: Mapping[str, str]) -> str:
    columns = ", ".join(f"'{name}': '{types.get(name.lower(), 'VARCHAR')}'" for name in CSV_COLUMNS)
    # Sniffing would cost half a second and keep the second processor idle; so would one buffer for
    # all of a short text. (Short ones for a long text would make short row groups, poorly packed.)
    buffer = 1 << (20 if Path(path).stat().st_size < 1 << 25 else 25)
    return (
        f"read_csv('{path}', auto_detect = false, header = true, delim = ',', quote = '\"', "
        f"escape = '\"', buffer_size = {buffer}, columns = {{{columns}}})"
    )


def _reason(error: Exception) -> str:
    """What DuckDB's message says about the text, without what it says about its options."""
    parts = [part.strip() for part in str(error).splitlines() if part.strip()]
    found = re.search(r"CSV Error on Line: (\d+)", parts[0])
    if found is None:
        return parts[0]
    # The line itself comes behind its heading or in the line below; then what is wrong with it.
    told = [part for part in parts[1:] if part != "Original Line:"]
    line, problem, *_ = [*told, "", ""]
    line = line.removeprefix("Original Line:").strip()
    return f"line {int(found[1]):,} cannot be read: {problem.rstrip('.')}: {line[:200]!r}"
