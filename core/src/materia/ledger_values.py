"""Frozen values as columns of the ledger, and back: exact, and the same after a round trip."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from materia.machines import Money
from materia.price_cache import plain
from materia.printable import printable

T = TypeVar("T")
Column = str | int | float | None
_READ: dict[Any, Callable[[Any], Any]] = {
    Decimal: Decimal,
    timedelta: lambda seconds: timedelta(seconds=seconds),
    date: date.fromisoformat,
    datetime: datetime.fromisoformat,
}


def column(value: Any) -> Column:
    """One field as a column: moments sort as text, money reads `0.0123 EUR`, the rest is JSON."""
    match value:
        case None | str() | int():
            return printable(value) if isinstance(value, str) else value  # a provider's word
        case datetime():
            # All of one length, so that their order is that of the texts.
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


def row_from(kind: type[T], names: Iterable[str], values: Iterable[Column]) -> T:
    """The row of class *kind* in these columns; those it has no field for are passed over."""
    anything: Any = kind  # to the type checker, not every class can be hashed
    hints = _hints(anything)
    given = {
        name: _from_column(hints[name], value)
        for name, value in zip(names, values, strict=True)
        if name in hints
    }
    return kind(**given)


def _from_column(kind: Any, value: Column) -> Any:
    kind = _present(kind)
    if value is None:
        return None
    if kind is bool:
        return bool(value)
    if kind in {str, int} or get_origin(kind) is Literal:
        return value
    if kind in {datetime, timedelta}:
        return from_plain(kind, value)
    if kind is Money:
        amount, _, currency = str(value).partition(" ")
        return Money(Decimal(amount), currency)
    return from_plain(kind, json.loads(str(value)))


def from_plain(kind: Any, value: Any) -> Any:
    """What `plain` made of a value of *kind*, turned back.

    A key that the class has no field for is passed over, a missing one gets its default, so that
    what another version wrote can be read.
    """
    kind = _present(kind)
    if value is None:
        return None
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        given = {name: from_plain(hints[name], value[name]) for name in hints if name in value}
        return kind(**given)
    if get_origin(kind) is tuple:
        return tuple(from_plain(get_args(kind)[0], item) for item in value)
    read = _READ.get(kind)
    return value if read is None else read(value)


def _present(kind: Any) -> Any:
    """The kind itself, of one that may also be None."""
    if get_origin(kind) in {Union, UnionType}:
        return next(one for one in get_args(kind) if one is not type(None))
    return kind


@cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return get_type_hints(kind)
