"""What the headers of an answer mean. Pure functions."""

from __future__ import annotations

import email.utils
import re
from datetime import UTC, datetime

from materia.model import Known


def still_the_same(known: Known, etag: str | None, last_modified: str | None) -> bool:
    """Whether an answer with a body is the one already known, as far as its headers tell.

    The ETag decides. Only a server that gives none is taken by its Last-Modified.
    """
    if etag or known.etag:
        return etag == known.etag
    return last_modified is not None and last_modified == known.last_modified


def retry_after_seconds(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for, by a number or a date; None without one."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def length_of(content_length: str | None) -> int | None:
    """Bytes that a Content-Length header announces."""
    text = (content_length or "").strip()
    return int(text) if text.isascii() and text.isdigit() else None


def starts_at(content_range: str | None) -> int | None:
    """The offset of the first byte in `bytes 1000-1999/2000`."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(?:\d+|\*)", (content_range or "").strip(), re.ASCII)
    return int(found[1]) if found else None
