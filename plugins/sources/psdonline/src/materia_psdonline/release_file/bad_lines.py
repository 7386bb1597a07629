"""Find the bad lines of a release's CSV: line number, found value and expected value.

This runs only when a release is refused, line by line: DuckDB has found an error by then, and the
message must say where.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from functools import lru_cache

from materia_psdonline.release_file.csv_header import COLUMNS
from materia_psdonline.release_file.limits import (
    DECIMALS,
    FIRST_YEAR,
    FORMS,
    LAST_YEAR,
    MONTH,
    NUMBER,
    VALUE_LIMIT,
    YEAR,
    control_character,
    is_sum,
    month_of,
    stamp_of,
)

SHOWN = 3
NAMED = {
    "commodity": ("Commodity_Code", "Commodity_Description"),
    "country": ("Country_Code", "Country_Name"),
    "attribute": ("Attribute_ID", "Attribute_Description"),
    "unit": ("Unit_ID", "Unit_Description"),
}
Key = tuple[str, str, str, str]


def find_bad_lines(name: str, release: date, key: Key | None = None) -> str | None:
    """The first kind of fault in the text called *name*, with its lines and their number.

    None when no single line has a fault. With a *key* (commodity, country, market year,
    attribute), the lines of that key.
    """
    first = ""
    kind = ""
    lines: list[int] = []
    names: dict[tuple[str, str], str] = {}
    for number, fields in _records(name):
        if key:
            found = _same_key(fields, key)
        else:
            found = _fault(fields, release) or _other_name(fields, names)
        if found is None or (kind and found[0] != kind):
            continue
        kind, words = found
        first = first or words
        lines.append(number)
    if not lines:
        return None
    more = len(lines) - SHOWN
    others = ", ".join(f"{number:,}" for number in lines[1:SHOWN])
    if not others:
        return f"line {lines[0]:,} {first}"
    also = f"{others} and {more:,} more" if more > 0 else others
    return f"line {lines[0]:,} {first}; also line{'s' if len(lines) > 2 else ''} {also}"


def _records(name: str) -> Iterator[tuple[int, list[str]]]:
    """The records below the header, each with the number of its first line."""
    with open(name, encoding="utf-8", errors="replace", newline="") as text:  # noqa: PTH123 -- a name
        reader = csv.reader(text)
        try:
            next(reader, None)
            start = reader.line_num + 1
            for fields in reader:
                if fields:
                    yield start, fields
                start = reader.line_num + 1
        except csv.Error:  # a field longer than any name: the lines after it cannot be read
            return


def _same_key(fields: list[str], key: Key | None) -> tuple[str, str] | None:
    if len(fields) != len(COLUMNS) or (fields[0], fields[2], fields[4], fields[7]) != key:
        return None
    commodity, country, year, attribute = key
    return "key", (
        f"repeats commodity {commodity}, country {country}, market year {year}, "
        f"attribute {attribute}"
    )


def _fault(fields: list[str], release: date) -> tuple[str, str] | None:
    """The fault of one line: its kind, and its description after the line number."""
    if len(fields) != len(COLUMNS):
        plural = "" if len(fields) == 1 else "s"
        return "fields", f"has {len(fields)} field{plural}, expected {len(COLUMNS)}"
    line = dict(zip(COLUMNS, fields, strict=True))
    return _bad_code(line) or _bad_number(line) or _impossible(line, release)


def _bad_code(line: dict[str, str]) -> tuple[str, str] | None:
    return (
        _bad_label("commodity", line["Commodity_Code"], line["Commodity_Description"])
        or _bad_label("country", line["Country_Code"], line["Country_Name"])
        or _bad_label("attribute", line["Attribute_ID"], line["Attribute_Description"])
        or _bad_label("unit", line["Unit_ID"], line["Unit_Description"])
    )


@lru_cache(maxsize=4096)  # two million lines have only a thousand codes
def _bad_label(kind: str, code: str, label: str) -> tuple[str, str] | None:
    form, expected = FORMS[kind]
    if not form.fullmatch(code):
        return kind, f"has {code!r} as a {kind} code, expected {expected}"
    if (found := control_character(label)) is not None:
        return "control", f"has the control character {found!r} in the name of a {kind}"
    if kind == "country" and is_sum(code, label):
        words = f"has the sum {code} {label!r} among the countries"
        return "sum", f"{words}, which would count all figures twice"
    return None


def _other_name(fields: list[str], names: dict[tuple[str, str], str]) -> tuple[str, str] | None:
    """A code that has another name in a line above, recorded in *names*."""
    line = dict(zip(COLUMNS, fields, strict=True))
    for kind, (code, label) in NAMED.items():
        before = names.setdefault((kind, line[code]), line[label])
        if before != line[label]:
            return f"{kind} name", (
                f"describes the {kind} {line[code]} as {line[label]!r}, and a line above it as "
                f"{before!r}"
            )
    return None


def _bad_number(line: dict[str, str]) -> tuple[str, str] | None:
    if not MONTH.fullmatch(line["Month"]):
        return "month", f"has {line['Month']!r} as a month code, expected 00 to 12"
    for column in ("Market_Year", "Calendar_Year"):
        if not YEAR.fullmatch(line[column]):
            return "year", f"has {line[column]!r} as {column}, expected four digits"
    value = line["Value"]
    if value and not NUMBER.fullmatch(value):
        return "value", (
            f"has {value!r} as a value, expected a plain number such as 224.0000 "
            "(no exponent, sign +, blank or separator)"
        )
    decimals = len(value.partition(".")[2])
    if decimals > DECIMALS:
        return "decimals", f"has a value with {decimals} decimals, expected at most {DECIMALS}"
    return None


def _impossible(line: dict[str, str], release: date) -> tuple[str, str] | None:
    for column in ("Market_Year", "Calendar_Year"):
        if not FIRST_YEAR <= int(line[column]) <= LAST_YEAR:
            return "years", (
                f"has {line[column]} as {column}, expected {FIRST_YEAR} to {LAST_YEAR}{_of(line)}"
            )
    stamp = int(line["Calendar_Year"]) * 100 + int(line["Month"])
    if stamp % 100 and stamp > stamp_of(release):
        return "stamp", f"was edited in {month_of(stamp)}{_of(line)}"
    if line["Value"] and abs(Decimal(line["Value"])) >= VALUE_LIMIT:
        return "size", f"has the value {line['Value']}, expected less than 10^12{_of(line)}"
    return None


def _of(line: dict[str, str]) -> str:
    return (
        f" (commodity {line['Commodity_Code']}, country {line['Country_Code']}, "
        f"market year {line['Market_Year']})"
    )
