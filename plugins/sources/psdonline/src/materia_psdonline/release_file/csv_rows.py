"""Parse CSV text into rows of the raw layer with DuckDB, and refuse inexact values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import duckdb

from materia_psdonline.raw_layer.history import KEY, LINE
from materia_psdonline.release_file.bad_lines import NAMED
from materia_psdonline.release_file.csv_header import COLUMNS as CSV_COLUMNS
from materia_psdonline.release_file.limits import (
    DECIMALS,
    FIRST_YEAR,
    FORMS,
    LAST_YEAR,
    MONTH,
    VALUE_LIMIT,
    control_character,
    is_sum,
    month_of,
    stamp_of,
)
from materia_psdonline.release_file.zip_member import ArchiveError

TYPES = {name.lower(): kind for name, kind in LINE.items()}
KINDS = tuple(NAMED)
_STAMP = "calendar_year::INTEGER * 100 + month"
# The number of decimals of a value. Nearly all end in four zeros, which is fast to test; such a
# value that is no number begins below the minus sign (a blank, a plus) or has an underscore. A
# value that DuckDB would read although it is not a plain number gets an impossible number.
YEAR_IS_ODD, VALUE_IS_ODD = 99, 98
_DECIMALS = f"""
    CASE WHEN strlen(Market_Year) <> 4 OR strlen(Calendar_Year) <> 4 THEN {YEAR_IS_ODD}
        WHEN suffix(Value, '.0000') AND Value >= '-' AND NOT contains(Value, '_') THEN 4
        WHEN Value IS NULL THEN 0
        WHEN NOT regexp_full_match(Value, '-?[0-9]+(\\.[0-9]*)?') THEN {VALUE_IS_ODD}
        WHEN contains(Value, '.') THEN strlen(Value) - position('.' IN Value)
        ELSE 0 END
"""


class TwiceError(ArchiveError):
    """A key occurs more than once.

    Attributes:
        key: Commodity, country, market year and attribute, as the file writes them.
    """

    def __init__(self, key: tuple[str, str, str, str], count: int) -> None:
        self.key = key
        commodity, country, year, attribute = key
        super().__init__(
            f"has {count} rows for commodity {commodity}, country {country}, "
            f"market year {year}, attribute {attribute}"
        )


class LaterError(ArchiveError):
    """A release contains balances that were edited after its month."""

    def __init__(self, stamp: int, release: date) -> None:
        super().__init__(
            f"holds balances edited in {month_of(stamp)}, after its own month {release:%Y-%m}: "
            "it is a later release"
        )


def parse(connection: duckdb.DuckDBPyConnection, path: str, table: str) -> None:
    """Fill the temporary *table* with the lines of the CSV at *path*, without descriptions.

    Raises:
        ArchiveError: a line or a value does not fit its columns.
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
    """The descriptions in the CSV at *path*; this also checks the format of every code.

    Raises:
        ArchiveError: a code of another width, a value that is not a plain number or has too many
            decimals, a sum among the countries, or one code with two descriptions.
    """
    columns = [name for pair in NAMED.values() for name in pair]
    try:
        # Two coarse groupings are faster than one for each kind of code.
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
        if second:
            _check_numbers(month or "", decimals or 0)
        for place in (2, 3) if second else (0, 1):
            kind, code, label = KINDS[place], texts[2 * place] or "", texts[2 * place + 1] or ""
            _check_label(kind, code, label)
            if (other := found.setdefault((kind, code), label)) != label:
                raise ArchiveError(f"describes the {kind} {code} as both {other!r} and {label!r}")
    return found


def _check_numbers(month: str, decimals: int) -> None:
    if not MONTH.fullmatch(month):
        raise ArchiveError(f"has {month!r} as a month code")
    if decimals == YEAR_IS_ODD:
        raise ArchiveError("has a year that is not four digits")
    if decimals == VALUE_IS_ODD:
        raise ArchiveError("has a value that is not a plain number")
    if decimals > DECIMALS:
        raise ArchiveError(f"has a value with {decimals} decimals, expected at most {DECIMALS}")


def _check_label(kind: str, code: str, label: str) -> None:
    form, expected = FORMS[kind]
    if not form.fullmatch(code):
        raise ArchiveError(f"has {code!r} as a {kind} code, expected {expected}")
    if (found := control_character(label)) is not None:
        raise ArchiveError(f"has the control character {found!r} in the name of a {kind}")
    if kind == "country" and is_sum(code, label):
        raise ArchiveError(f"has the sum {code} {label!r} among the countries")


def refuse_impossible(connection: duckdb.DuckDBPyConnection, table: str, release: date) -> None:
    """Check the lines in *table* against the limits for the *release*.

    Raises:
        ArchiveError: a stamp later than the release, or a year or a value out of range.
    """
    found = connection.execute(f"""
        SELECT max({_STAMP}) FILTER (month > 0),
            min(least(market_year, calendar_year)), max(greatest(market_year, calendar_year)),
            min(value), max(value)
        FROM {table}
    """).fetchone()
    newest, first, last, least, most = found or (None,) * 5
    if newest is not None and newest > stamp_of(release):
        raise LaterError(newest, release)
    if first is not None and not FIRST_YEAR <= first <= last <= LAST_YEAR:
        raise ArchiveError(f"has a year outside {FIRST_YEAR} to {LAST_YEAR}")
    if most is not None and not -VALUE_LIMIT < least <= most < VALUE_LIMIT:
        raise ArchiveError("has a value of 10^12 or more")


def refuse_later(connection: duckdb.DuckDBPyConnection, stamps: str, release: date) -> None:
    """Raise ArchiveError when one of the *stamps* (SQL for a relation) is later than *release*."""
    found = connection.execute(f"SELECT max({_STAMP}) FROM {stamps} WHERE month > 0").fetchone()
    if found and found[0] is not None and found[0] > stamp_of(release):
        raise LaterError(found[0], release)


def refuse_duplicates(connection: duckdb.DuckDBPyConnection, table: str, balances: str) -> None:
    """Raise ArchiveError when two rows of the *table* share their key.

    This skips balances in which `history.encode` has found each attribute only once.
    """
    if connection.execute(f"SELECT count(*) FROM {balances} WHERE NOT once").fetchone() == (0,):
        return
    twice = connection.execute(f"""
        SELECT {", ".join(KEY)}, count(*) FROM {table} GROUP BY ALL HAVING count(*) > 1
        ORDER BY ALL LIMIT 1
    """).fetchone()
    if twice is not None:
        commodity, country, year, attribute, count = twice
        raise TwiceError((f"{commodity:07}", country, str(year), f"{attribute:03}"), count)


def _csv(path: str, types: Mapping[str, str]) -> str:
    columns = ", ".join(f"'{name}': '{types.get(name.lower(), 'VARCHAR')}'" for name in CSV_COLUMNS)
    # Sniffing would cost half a second and leave the second processor idle; so would one buffer for
    # all of a short text. (Small buffers for a long text give small, badly compressed row groups.)
    buffer = 1 << (20 if Path(path).stat().st_size < 1 << 25 else 25)
    return (
        f"read_csv('{path}', auto_detect = false, header = true, delim = ',', quote = '\"', "
        f"escape = '\"', buffer_size = {buffer}, columns = {{{columns}}})"
    )


def _reason(error: Exception) -> str:
    """DuckDB's message about the text, without the part about its options."""
    parts = [part.strip() for part in str(error).splitlines() if part.strip()]
    found = re.search(r"CSV Error on Line: (\d+)", parts[0])
    if found is None:
        return parts[0]
    # The line itself is after its heading or in the line below; then follows the fault.
    named = [part for part in parts[1:] if part != "Original Line:"]
    line, problem, *_ = [*named, "", ""]
    line = line.removeprefix("Original Line:").strip()
    return f"line {int(found[1]):,} cannot be read: {problem.rstrip('.')}: {line[:200]!r}"
