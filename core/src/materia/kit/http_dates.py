"""Dates in HTTP headers: Date, Last-Modified, Retry-After."""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime, timedelta

__all__ = ["http_moment", "retry_after"]


def http_moment(header: str | None) -> datetime | None:
    """The moment that a date of HTTP names, in UTC; None when it is none."""
    try:
        moment = email.utils.parsedate_to_datetime(header or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):  # no date, or one in the year 99999, say
        return None


def retry_after(header: str | None, now: datetime | None = None) -> timedelta | None:
    """How long the header Retry-After asks to wait, by a number or a date; None when it does not.

    Args:
        header: Its value.
        now: When the answer came; this moment when None.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=int(text)) if len(text) < 10 else None
    moment = http_moment(text)
    return None if moment is None else max(timedelta(0), moment - (now or datetime.now(UTC)))
