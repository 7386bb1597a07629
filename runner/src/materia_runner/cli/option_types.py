"""Parse durations and sizes in options: `1h30m`, `16GiB`."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

import typer

SECONDS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
BYTES = {
    "": 1024**3,
    "g": 1024**3,
    "gib": 1024**3,
    "gb": 1000**3,
    "m": 1024**2,
    "mib": 1024**2,
    "mb": 1000**2,
    "t": 1024**4,
    "tib": 1024**4,
    "tb": 1000**4,
}
NUMBER = r"[0-9]+(?:\.[0-9]+)?"
PARTS = re.compile(rf"({NUMBER})\s*([a-z]+)\s*")


def duration(text: str) -> timedelta:
    """Parse a duration: `10m`, `1h30m`, `90s`, `1.5h`, `2d`; more than zero, at most a year."""
    lowered = text.strip().lower()
    parts = PARTS.findall(lowered)
    if not parts or PARTS.sub("", lowered) or any(unit not in SECONDS for _, unit in parts):
        hint = f"; write {lowered}m or {lowered}h" if re.fullmatch(NUMBER, lowered) else ""
        raise typer.BadParameter(f"{text!r} is not a duration like 10m or 1h30m{hint}")
    seconds = sum((Decimal(number) * SECONDS[unit] for number, unit in parts), Decimal(0))
    if not 0 < seconds <= 366 * 86400:
        raise typer.BadParameter(f"{text!r} is not between a second and a year")
    return timedelta(microseconds=int(seconds * 1_000_000))


def size_gib(text: str) -> Decimal:
    """Parse a size into GiB: `8` (GiB), `16GiB`, `500MB`."""
    found = re.fullmatch(rf"({NUMBER})\s*([a-z]*)", text.strip().lower())
    if found is None or found[2] not in BYTES:
        raise typer.BadParameter(f"{text!r} is not a size like 8, 16GiB or 500MB")
    return Decimal(found[1]) * BYTES[found[2]] / 1024**3
