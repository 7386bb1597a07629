"""Frozen values as JSON takes them, and back."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

_READ: dict[Any, Callable[[Any], Any]] = {
    Decimal: Decimal,
    timedelta: lambda seconds: timedelta(seconds=seconds),
    date: date.fromisoformat,
    datetime: datetime.fromisoformat,
}


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


def plain(value: Any) -> Any:
    """A frozen value as JSON takes it: amounts as text, moments in ISO 8601, lengths in seconds."""
    match value:
        case Decimal():
            return f"{value:f}"
        case timedelta():
            return value.total_seconds()
        case date():  # a moment is a date too
            return value.isoformat()
        case tuple():
            return [plain(item) for item in value]
        case _ if hasattr(value, "__dataclass_fields__"):
            return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            return value
