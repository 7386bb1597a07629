"""Convert values to SQLite columns and back, without loss."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeVar, get_origin

from materia.compute import Money
from materia.printable import printable

from materia_runner import codec
from materia_runner.codec import hints_of, plain, present

T = TypeVar("T")
Column = str | int | float | None


def column(value: Any) -> Column:
    """Convert one field: times as sortable text, money as `0.0123 EUR`, other values as JSON."""
    match value:
        case None | str() | int():
            return printable(value) if isinstance(value, str) else value  # may come from an API
        case datetime():
            # All of one length, so that the texts sort by time.
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case timedelta():
            return value.total_seconds()
        case Money():
            return f"{value.amount:f} {value.currency}"
        case Mapping():
            return json.dumps(dict(value), default=str)
        case _:
            return json.dumps(plain(value))


def columns(row: Any) -> dict[str, Column]:
    """Every field of a row, by its name."""
    return {field.name: column(getattr(row, field.name)) for field in fields(row)}


def insert(connection: sqlite3.Connection, table: str, row: Any) -> None:
    """Insert a row into *table*."""
    values = columns(row)
    places = ", ".join("?" * len(values))
    connection.execute(
        f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", tuple(values.values())
    )


def row_from(kind: type[T], names: Iterable[str], values: Iterable[Column]) -> T:
    """Convert columns to a row of class *kind*; columns without a field are ignored."""
    anything: Any = kind  # for the type checker, which does not know that classes are hashable
    hints = hints_of(anything)
    given = {
        name: _from_column(hints[name], value)
        for name, value in zip(names, values, strict=True)
        if name in hints
    }
    return kind(**given)


def _from_column(kind: Any, value: Column) -> Any:
    kind = present(kind)
    if value is None:
        return None
    if kind is bool:
        return bool(value)
    if kind in {str, int} or get_origin(kind) is Literal:
        return value
    if kind in {datetime, timedelta}:
        return codec.decode(kind, value, newer=True)
    if kind is Money:
        amount, _, currency = str(value).partition(" ")
        return Money(Decimal(amount), currency)
    return codec.decode(kind, json.loads(str(value)), newer=True)
