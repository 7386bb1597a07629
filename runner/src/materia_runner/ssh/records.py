"""Validate the records that a rented machine sends over SSH, before anything uses them.

A record is a kind, a length, a line end, and that many bytes (`agent/records.py`). The machine is
trusted only with its stage: an unknown record, or one with invalid values, is a `MalformedError`,
and the worker is given up.
"""

from __future__ import annotations

import json
import re
from typing import Any

LONGEST_HEAD = 12  # `o 65536` and its line end, with room to spare
LONGEST_PAYLOAD = 1 << 17  # an agent sends 64 KiB at once
LONGEST_FILE = 1 << 50
LONGEST_REASON = 500
LONGEST_PATH = 4096
SHOWN_BYTES = 60
REASONS = frozenset({"exited", "stopped", "limit", "lost"})

Words = dict[str, Any]
_HEAD = re.compile(rb"([a-z]) (0|[1-9][0-9]{0,6})\n", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


class MalformedError(ValueError):
    """A malformed record; the message quotes it."""


def head_of(line: bytes, kinds: bytes) -> tuple[bytes, int]:
    """The kind, one of *kinds*, and the length in the first line of a record.

    Raises:
        MalformedError: the line is malformed, of another kind, or its length is too large.
    """
    found = _HEAD.fullmatch(line)
    if found is None:
        raise MalformedError(f"a record begins with {shown(line)}")
    kind, length = found[1], int(found[2])
    if kind not in kinds:
        raise MalformedError(f"a record of the kind {shown(kind)} is not expected here")
    if length > LONGEST_PAYLOAD:
        raise MalformedError(f"a record of {length:,} bytes is too long")
    return kind, length


def shown(text: bytes) -> str:
    """The beginning of *text*, quoted and without control characters."""
    more = " and more" if len(text) > SHOWN_BYTES else ""
    return ascii(text[:SHOWN_BYTES].decode("utf-8", "replace")) + more


def end_of(payload: bytes) -> Words:
    """Decode the end of a command: `status`, an exit code or minus a signal, and `reason`."""
    values = values_of(payload)
    _number(values, "status", least=-64, most=255)
    if values.get("reason") not in REASONS:
        raise MalformedError(f"a command ended for the reason {values.get('reason')!a:.80}")
    return values


def outcome_of(payload: bytes) -> Words:
    """Decode the outcome of an order: `error`, facts of the machine, and the `sha256` of a file."""
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
    """Decode how many bytes of a file a machine has already; None when it has the whole file."""
    values = values_of(payload)
    wanted = values.get("wanted")
    _check(values, "wanted", isinstance(wanted, bool))
    return _number(values, "has", most=LONGEST_FILE) if wanted else None


def size_of(payload: bytes) -> tuple[int, int]:
    """Decode the size of a file that follows, and the offset from which it follows."""
    values = values_of(payload)
    size = _number(values, "bytes", most=LONGEST_FILE)
    return size, _number(values, "begin", most=size)


def is_hash(text: str) -> bool:
    """Whether *text* is a SHA-256 in hex."""
    return _HASH.fullmatch(text) is not None


def values_of(payload: bytes) -> Words:
    """Decode the JSON object in a record.

    Raises:
        MalformedError: the record has no JSON object.
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
