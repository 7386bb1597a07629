"""Values that DuckDB and Spark give to Python, in a form in which equal ones are equal texts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID


def shown(value: object) -> object:  # noqa: PLR0911 -- one of each type
    """A text, None, or a list of those."""
    match value:
        case None:
            return None
        case bool() | int() | str() | UUID():
            return str(value)
        case float():
            return repr(value + 0.0)  # a file has one kind of zero
        case Decimal():
            return f"{value:f}"
        case bytes() | bytearray():
            return bytes(value).hex()
        case dt.datetime() | dt.date():
            return (
                value.replace(tzinfo=None) if isinstance(value, dt.datetime) else value
            ).isoformat()
        case dt.time():
            return value.isoformat()
        case Mapping():
            return sorted([str(key), shown(one)] for key, one in value.items())
        case list() | tuple():
            as_dict = getattr(value, "asDict", None)  # a Row of Spark; DuckDB gives a mapping
            return shown(as_dict()) if as_dict else [shown(one) for one in value]
    raise TypeError(f"{value!r} has a type that no table here has")
