"""Text for messages: join names, suggest a name (did you mean), format a duration."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta


def together(names: Sequence[str]) -> str:
    """Join names: `A`, `A and B`, `A, B and C`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def suggestion(word: str, known: Sequence[str]) -> str:
    """` (did you mean 'x'?)` for the nearest of *known*, or nothing."""
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def duration_text(length: timedelta) -> str:
    """Format a duration: `1 h 30 min`, `1.5 s`."""
    minutes, rest = divmod(length.days * 86_400 + length.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest}.{length.microseconds:06d}".rstrip("0").rstrip(".")
    parts = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes)
    return " ".join(parts + [f"{seconds} s"] * (seconds != "0")) or "0 s"
