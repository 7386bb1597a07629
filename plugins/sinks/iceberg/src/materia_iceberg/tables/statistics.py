"""Column statistics (counts and bounds) for Iceberg data files, from those of DuckDB.

Engines skip files by their bounds. A bound that is too narrow silently hides rows from a filter, so
a text that this module cannot read gives no bound.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, localcontext

from materia.errors import SinkError

from materia_iceberg.tables.schema import Schema, decimal_of

LONGEST = 16  # characters of a bound, the default of Iceberg's own writers
HIGHEST = 0x10FFFF
SURROGATES = range(0xD800, 0xE000)
EPOCH = date(1970, 1, 1)
FLOATS = {"float", "double"}
DATED = {"date", "timestamp", "timestamptz"}
DIGITS = 80  # more than a decimal has
Returned = Mapping[str, Mapping[str, str]]  # the answer of COPY with RETURN_STATS, by quoted column


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Column statistics of a file, by field id."""

    sizes: dict[int, int] = field(default_factory=dict)
    values: dict[int, int] = field(default_factory=dict)
    nulls: dict[int, int] = field(default_factory=dict)
    lower: dict[int, bytes] = field(default_factory=dict)
    upper: dict[int, bytes] = field(default_factory=dict)


def read_statistics(
    returned: Returned,
    schema: Schema,
    *,
    rows: int,
    table: str,
    groups: int,
    enums: Mapping[str, Sequence[str]],
) -> Statistics:
    """The statistics of a file of *table*, for all columns that are not nested.

    DuckDB reports no bounds of an enum: they are those of all values that its type has, which
    *enums* lists by column. Not in the order of the enum, which means nothing to a text.

    Floating-point columns have no bounds if a value is NaN, which engines take for the largest
    number. In a file of several row *groups* they never have any: DuckDB reports NaN of the last
    group alone.

    Raises:
        SinkError: a column contains an infinite date or timestamp, which Iceberg lacks.
    """
    found = Statistics()
    for column in schema:
        name = '"' + column.name.replace('"', '""') + '"'
        of_column = returned.get(name)
        if of_column is None or not isinstance(column.kind, str):
            continue
        number = column.number
        found.sizes[number] = int(of_column["column_size_bytes"])
        found.values[number] = rows
        if "null_count" in of_column:
            found.nulls[number] = int(of_column["null_count"])
        low, high = of_column.get("min"), of_column.get("max")
        if enums.get(column.name) and found.nulls.get(number) != rows:
            # Python compares texts by code point, which is the order of their bytes in UTF-8.
            low, high = min(enums[column.name]), max(enums[column.name])
        if low is None or high is None:
            continue
        if column.kind in FLOATS and (groups > 1 or of_column.get("has_nan") != "false"):
            continue
        if column.kind in DATED:
            _refuse_infinite(low, high, table, column.name)
        lower = bound(column.kind, low, upper=False)
        upper = bound(column.kind, high, upper=True)
        if lower is not None and upper is not None:
            found.lower[number], found.upper[number] = lower, upper
    return found


def bound(kind: str, text: str, *, upper: bool) -> bytes | None:
    """Iceberg's bytes for DuckDB's text of a smallest or largest value; None for no bound.

    Their form is "Binary single-value serialization" in the specification.
    """
    try:
        return _bytes(kind, text, upper=upper)
    except (ValueError, OverflowError, ArithmeticError):
        return None


def _bytes(kind: str, text: str, *, upper: bool) -> bytes | None:  # noqa: PLR0911 -- one for each type
    match kind:
        case "boolean":
            # DuckDB 1.5 writes 0 and 1.
            return {"0": b"\0", "false": b"\0", "1": b"\1", "true": b"\1"}.get(text)
        case "int":
            return int(text).to_bytes(4, "little", signed=True)
        case "long":
            return int(text).to_bytes(8, "little", signed=True)
        case "float" | "double":
            number = float(text)
            if number == 0:  # DuckDB does not say which of the two zeros is the smaller one
                number = 0.0 if upper else -0.0
            return struct.pack("<f" if kind == "float" else "<d", number)
        case "date":
            return (date.fromisoformat(text) - EPOCH).days.to_bytes(4, "little", signed=True)
        case "timestamp" | "timestamptz":
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            since = moment - datetime(1970, 1, 1, tzinfo=UTC)
            microseconds = (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds
            return microseconds.to_bytes(8, "little", signed=True)
        case "string":
            shown = _above(text) if upper else text[:LONGEST]
            return None if shown is None else shown.encode()
    numbers = decimal_of(kind)
    return None if numbers is None else _decimal(text, scale=numbers[1])


def _decimal(text: str, *, scale: int) -> bytes:
    """The unscaled value in as few bytes as hold it."""
    with localcontext(prec=DIGITS):
        unscaled = int(Decimal(text).scaleb(scale))
    bits = (unscaled if unscaled >= 0 else ~unscaled).bit_length()
    return unscaled.to_bytes(bits // 8 + 1, "big", signed=True)


def _above(text: str) -> str | None:
    """A text of at most `LONGEST` characters that is not below *text*; None if there is none."""
    if len(text) <= LONGEST:
        return text
    kept = text[:LONGEST]
    while kept:
        following = ord(kept[-1]) + 1
        if following in SURROGATES:
            following = SURROGATES.stop
        if following <= HIGHEST:
            return kept[:-1] + chr(following)
        kept = kept[:-1]
    return None


def _refuse_infinite(low: str, high: str, table: str, column: str) -> None:
    if "infinity" in low or "infinity" in high:
        raise SinkError(
            f"{table}: cannot be published: its column {column} contains an infinite date or "
            "timestamp, and Iceberg has none; make it NULL in the model, or a number"
        )
