"""JSON codec for dataclasses: validate and decode untrusted JSON by type hints, and encode.

The annotation of a field sets its type, its form (`forms`) and its range. Any error in the text or
the value raises `MalformedError` with one sentence, and no other exception. This codec encodes the
messages between runner and worker, the ledger, the caches and the output of `--json`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from materia.forms import LARGEST, Form, Range

LONGEST_LINE = 1 << 20  # characters of one message
LONGEST_TEXT = 1 << 16  # characters of one text in it
LONGEST_PATH = 4096
DEEPEST = 16  # nesting depth of fields that take any JSON
YEARS = range(1990, 2200)
LONGEST_TIME = timedelta(days=366 * 100)
SHOWN = 60  # characters of a wrong value in a message
Read = Callable[[Any], Any]
_AMOUNT = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,40})?")  # a quotient has 28 digits
_SURROGATE = re.compile("[\ud800-\udfff]")


class MalformedError(ValueError):
    """Invalid JSON, or a value of the wrong type or form; the message says where and why."""


def encode(value: Any) -> Any:
    """Encode a value for JSON; a dataclass gets its name in `type`, to decode unions."""
    return _encoded(value, named=True)


def plain(value: Any) -> Any:
    """Encode a value for JSON without the names of dataclasses: for output and files."""
    return _encoded(value, named=False)


def _encoded(value: Any, *, named: bool) -> Any:  # noqa: PLR0911 -- one return for each kind
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Path():
            return str(value)
        case date():  # a moment is a date too
            return value.isoformat()
        case Decimal():
            return f"{value:f}"
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {str(key): _encoded(item, named=named) for key, item in value.items()}
        case list() | tuple():
            return [_encoded(item, named=named) for item in value]
        case _ if is_dataclass(value):
            parts = {
                field.name: _encoded(getattr(value, field.name), named=named)
                for field in fields(value)
            }
            return {"type": type(value).__name__, **parts} if named else parts
    raise TypeError(f"cannot encode {type(value).__name__} as JSON")


def parse(text: str, *, longest: int = LONGEST_LINE) -> Any:
    """Parse a JSON text.

    Raises:
        MalformedError: it is too long, nested too deeply, or not JSON.
    """
    if len(text) > longest:
        raise MalformedError(f"it has {len(text):,} characters, and the limit is {longest:,}")
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError as error:
        raise MalformedError("it is nested too deeply") from error
    except ValueError as error:
        raise MalformedError(f"it is not JSON: {_shown(text)}") from error


def decode(kind: Any, value: Any, *, newer: bool = False) -> Any:
    """Decode a JSON *value* as *kind*.

    Args:
        kind: A type, as in an annotation.
        value: The value from JSON.
        newer: Whether another version may have written it: unknown fields are then ignored.

    Raises:
        MalformedError: the value is not of that type.
    """
    return _reader(kind, newer=newer)(value)


def decode_parts(kind: Any, value: Any, known: Mapping[str, Any]) -> Any:
    """Decode a dataclass from *value*; *known* has some of its fields already.

    Raises:
        MalformedError: a field is invalid, missing, or known already.
    """
    return _dataclass(kind, value, newer=False, known=known)


def _reader(kind: Any, *, newer: bool) -> Read:
    """The function that decodes a value as *kind*: made once for each field of a dataclass."""
    kind, rules = _bare(kind)
    read = _unruled(kind, newer=newer)
    return partial(_ruled, read, rules) if rules else read


def _unruled(kind: Any, *, newer: bool) -> Read:  # noqa: PLR0911 -- one return for each kind
    origin = get_origin(kind)
    if origin in {Union, UnionType}:
        return _union_reader(get_args(kind), newer=newer)
    if kind in {Any, object}:
        return partial(_plain, depth=DEEPEST)
    if kind in {None, NoneType}:
        return _nothing
    if origin is Literal:
        return partial(_literal, get_args(kind))
    if isinstance(kind, type) and is_dataclass(kind):
        return partial(_dataclass, kind, newer=newer, known={})
    if origin is tuple:
        kinds = get_args(kind)
        many = len(kinds) == 2 and kinds[1] is Ellipsis
        reads = tuple(_reader(one, newer=newer) for one in (kinds[:1] if many else kinds))
        return partial(_tuple, reads, many)
    if origin is Mapping or kind is Mapping:
        key, item = get_args(kind) or (str, object)
        return partial(_mapping, _reader(key, newer=False), _reader(item, newer=newer))
    return _SCALARS.get(kind) or partial(_refused, f"cannot decode {kind} from JSON")


def _ruled(read: Read, rules: tuple[Any, ...], value: Any) -> Any:
    found = read(value)
    for rule in rules:
        if found is not None:
            _keep(rule, found)
    return found


@cache
def _fields(kind: Any, *, newer: bool) -> dict[str, tuple[Read, bool]]:
    """How to decode each field of a dataclass, and whether it must be given."""
    hints = hints_of(kind)
    return {
        field.name: (_reader(hints[field.name], newer=newer), _is_needed(field))
        for field in fields(kind)
    }


def _dataclass(kind: Any, value: Any, *, newer: bool, known: Mapping[str, Any]) -> Any:
    if not isinstance(value, dict):
        _wrong(value, f"a {kind.__name__}")
    given = dict(value)
    if given.pop("type", kind.__name__) != kind.__name__:
        _wrong(value["type"], f"the type {kind.__name__}")
    names = _fields(kind, newer=newer)
    unknown = given.keys() - (names.keys() - known.keys())
    if unknown and not newer:
        raise MalformedError(f"a {kind.__name__} has no {_shown(min(unknown))}")
    found = dict(known)
    for name, (read, needed) in names.items():
        if name in known:
            continue
        if name in given:
            try:
                found[name] = read(given[name])
            except MalformedError as error:
                raise _inside(name, error) from error.__cause__
        elif needed:
            raise MalformedError(f"a {kind.__name__} without {name}")
    return kind(**found)


def _union_reader(kinds: tuple[Any, ...], *, newer: bool) -> Read:
    """Decode a union: None, the only other kind, or the dataclass that `type` names."""
    others = [kind for kind in kinds if kind is not NoneType]
    named = {
        kind.__name__: _reader(kind, newer=newer)
        for kind in others
        if isinstance(kind, type) and is_dataclass(kind)
    }
    if len(others) == 1:
        read = _reader(others[0], newer=newer)
    elif len(named) == len(others):
        read = partial(_named, named)
    else:
        reason = f"cannot decode the union {kinds}: only dataclasses have a `type`"
        read = partial(_refused, reason)
    return partial(_optional, read) if NoneType in kinds else read


def _optional(read: Read, value: Any) -> Any:
    return None if value is None else read(value)


def _named(reads: Mapping[str, Read], value: Any) -> Any:
    name = value.get("type") if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in reads:
        _wrong(name, " or ".join(reads))
    return reads[name](value)


def _tuple(reads: tuple[Read, ...], many: bool, value: Any) -> tuple[Any, ...]:  # noqa: FBT001 -- given by partial
    if not isinstance(value, list):
        _wrong(value, "a list")
    if many:
        reads *= len(value)
    if len(reads) != len(value):
        raise MalformedError(f"a list of {len(value)} instead of {len(reads)}")
    found = []
    for read, item in zip(reads, value, strict=True):
        try:
            found.append(read(item))
        except MalformedError as error:
            raise _inside(str(len(found)), error) from error.__cause__
    return tuple(found)


def _mapping(read_key: Read, read: Read, value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        _wrong(value, "an object")
    found = {}
    for key, item in value.items():
        try:
            found[read_key(key)] = read(item)
        except MalformedError as error:
            raise _inside(ascii(key)[1 : SHOWN + 1], error) from error.__cause__
    return found


def _nothing(value: Any) -> None:
    return value if value is None else _wrong(value, "null")


def _literal(choices: tuple[Any, ...], value: Any) -> Any:
    return value if _in(value, choices) else _wrong(value, " or ".join(choices))


def _refused(reason: str, _value: Any) -> NoReturn:
    raise TypeError(reason)


def _plain(value: Any, depth: int) -> Any:
    if not depth:
        raise MalformedError("it is nested too deeply")
    if isinstance(value, dict):
        return {_text(key): _plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, depth - 1) for item in value]
    if value is None or isinstance(value, bool):
        return value
    return _text(value) if isinstance(value, str) else _float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        _wrong(value, "a text")
    if len(value) > LONGEST_TEXT:
        raise MalformedError(f"a text of {len(value):,} characters")
    return value if value.isascii() else _SURROGATE.sub("\ufffd", value)


def _bool(value: Any) -> bool:
    return value if isinstance(value, bool) else _wrong(value, "true or false")


def _int(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        _wrong(value, "a whole number")
    return value if -LARGEST <= value <= LARGEST else _wrong(value, "a number of 64 bits")


def _float(value: Any) -> int | float:
    if isinstance(value, float):
        return value if math.isfinite(value) else _wrong(value, "a number")
    return _int(value)


def _decimal(value: Any) -> Decimal:
    if not isinstance(value, str) or _AMOUNT.fullmatch(value) is None:
        _wrong(value, "an amount")
    return Decimal(value)


def _timedelta(value: Any) -> timedelta:
    seconds = _float(value)
    if not abs(seconds) <= LONGEST_TIME.total_seconds():
        _wrong(value, "a length of time")
    return timedelta(seconds=seconds)


def _datetime(value: Any) -> datetime:
    if not isinstance(value, str) or len(value) > SHOWN:
        _wrong(value, "a moment")
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        _wrong(value, "a moment")
    if found.tzinfo is None or found.year not in YEARS:
        _wrong(value, "a moment with its zone")
    return found


def _date(value: Any) -> date:
    try:
        return date.fromisoformat(value)  # any year: a price list may have one far in the future
    except (ValueError, TypeError):
        _wrong(value, "a day")


def _path(value: Any) -> Path:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_PATH or "\0" in value:
        _wrong(value, "a path")
    return Path(value)


_SCALARS: Mapping[Any, Any] = {
    str: _text,
    bool: _bool,
    int: _int,
    float: _float,
    Decimal: _decimal,
    timedelta: _timedelta,
    datetime: _datetime,
    date: _date,
    Path: _path,
}


def _keep(rule: Any, value: Any) -> None:
    if isinstance(rule, Form) and not rule.fits(value):
        _wrong(value, rule.what)
    if isinstance(rule, Range) and not rule.least <= value <= rule.most:
        _wrong(value, f"a number from {rule.least:,} to {rule.most:,}")


def _bare(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(kind) is Annotated:
        return kind.__origin__, kind.__metadata__
    return kind, ()


def _in(value: Any, choices: tuple[Any, ...]) -> bool:
    return any(type(value) is type(one) and value == one for one in choices)


def _is_needed(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def present(kind: Any) -> Any:
    """The type without None, for an optional type."""
    if get_origin(kind) in {Union, UnionType}:
        return next(one for one in get_args(kind) if one is not NoneType)
    return kind


@cache
def hints_of(kind: Hashable) -> dict[str, Any]:
    """The annotations of a class by field, cached."""
    return get_type_hints(kind, include_extras=True)


def _inside(name: str, error: MalformedError) -> MalformedError:
    """The error with the name of the part it is in."""
    return MalformedError(f"{name}: {error}")


def _no_number(_text: str) -> NoReturn:
    raise ValueError("no number")


def _wrong(value: Any, wanted: str) -> NoReturn:
    raise MalformedError(f"{_shown(value)} is not {wanted}")


def _shown(value: Any) -> str:
    """*value* as short ASCII text for a message."""
    if isinstance(value, str):
        shown = ascii(value[: SHOWN + 1])
    elif isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value):,}"
    elif isinstance(value, int) and not -LARGEST <= value <= LARGEST:
        return "a number of more than 64 bits"
    else:
        shown = ascii(value)
    return shown if len(shown) <= SHOWN + 2 else f"{shown[:SHOWN]}..."
