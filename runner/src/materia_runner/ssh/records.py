"""Records that a rented machine sends over SSH, checked before anything here uses them.

A record is a kind, a length, a line end, and that many bytes (`launcher_records`). The machine is
trusted with its stage and with nothing else: a record that is none of ours, or whose values cannot
be right, is a `MalformedError`, and the worker is given up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

LONGEST_HEAD = 12  # `o 65536` and its line end, with room to spare
LONGEST_PAYLOAD = 1 << 17  # a launcher sends 64 KiB at once
LONGEST_FILE = 1 << 50
LONGEST_REASON = 500
LONGEST_PATH = 4096
SHOWN_BYTES = 60
REASONS = frozenset({"exited", "stopped", "limit", "lost"})

Words = dict[str, Any]
_HEAD = re.compile(rb"([a-z]) (0|[1-9][0-9]{0,6})\n", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


class MalformedError(ValueError):
    """What came is no record of ours; the message shows it, quoted."""


def head_of(line: bytes, kinds: bytes) -> tuple[bytes, int]:
    """The kind and the length that the first line of a record gives, one of *kinds*.

    Raises:
        MalformedError: it gives neither, another kind, or a length beyond any of ours.
    """
    found = _HEAD.fullmatch(line)
    if found is None:
        raise MalformedError(f"a record begins with {shown(line)}")
    kind, length = found[1], int(found[2])
    if kind not in kinds:
        raise MalformedError(f"a record of the kind {shown(kind)} has no place here")
    if length > LONGEST_PAYLOAD:
        raise MalformedError(f"a record of {length:,} bytes is too long")
    return kind, length


def shown(text: bytes) -> str:
    """The beginning of *text*, quoted and without a control character."""
    more = " and more" if len(text) > SHOWN_BYTES else ""
    return ascii(text[:SHOWN_BYTES].decode("utf-8", "replace")) + more


def end_of(payload: bytes) -> Words:
    """How a script ended: `status`, an exit code or minus a signal, and `reason`."""
    values = values_of(payload)
    _number(values, "status", least=-64, most=255)
    if values.get("reason") not in REASONS:
        raise MalformedError(f"a script ended for the reason {values.get('reason')!a:.80}")
    return values


def outcome_of(payload: bytes) -> Words:
    """How an order ended: `error`, what is known of the machine, and the `sha256` of a file."""
    values = values_of(payload)
    error, python, sha256 = values.get("error"), values.get("python"), values.get("sha256")
    _check(values, "error", error is None or isinstance(error, str))
    _check(values, "sha256", sha256 is None or (isinstance(sha256, str) and bool(is_hash(sha256))))
    _check(values, "home", _is_path(values.get("home")))
    machine = values.get("machine")
    _check(values, "machine", isinstance(machine, str) and len(machine) <= LONGEST_PATH)
    two = isinstance(python, list) and len(python) == 2 and all(map(_is_version, python))
    _check(values, "python", two)
    if error is not None:
        values["error"] = " ".join(error[:LONGEST_REASON].split()) or "it does not say why"
    return values


def wanted_of(payload: bytes) -> int | None:
    """How many bytes of a file a machine has already; None when it wants none of it."""
    values = values_of(payload)
    wanted = values.get("wanted")
    _check(values, "wanted", isinstance(wanted, bool))
    return _number(values, "has", most=LONGEST_FILE) if wanted else None


def size_of(payload: bytes) -> tuple[int, int]:
    """How many bytes a file has that is sent, and from which on it is sent."""
    values = values_of(payload)
    size = _number(values, "bytes", most=LONGEST_FILE)
    return size, _number(values, "begin", most=size)


def is_hash(text: str) -> bool:
    """Whether it is a SHA-256 in hex."""
    return _HASH.fullmatch(text) is not None


def values_of(payload: bytes) -> Words:
    """The object that the JSON of a record holds.

    Raises:
        MalformedError: it holds something else, or is no JSON.
    """
    try:
        values = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"a record holds {shown(payload)}") from error
    if not isinstance(values, dict):
        raise MalformedError(f"a record holds {shown(payload)}")
    return values


def _number(values: Words, name: str, *, least: int = 0, most: int) -> int:
    value = values.get(name)
    _check(values, name, type(value) is int and least <= value <= most)
    return int(values[name])


def _check(values: Words, name: str, right: bool) -> None:  # noqa: FBT001 -- reads as a sentence
    if not right:
        raise MalformedError(f"a record says {name!r} is {values.get(name)!a:.80}")


def _is_path(value: object) -> bool:
    return (
        isinstance(value, str)
        and value.startswith("/")
        and value.isprintable()
        and len(value) <= LONGEST_PATH
    )


def _is_version(value: object) -> bool:
    return type(value) is int and 0 <= value < 1000


Decode = Callable[[bytes], Any]
