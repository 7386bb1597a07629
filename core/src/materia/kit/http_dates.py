"""Dates in HTTP headers: Date, Last-Modified, Retry-After."""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime, timedelta

__all__ = ["http_moment", "retry_after"]


def http_moment(header: str | None) -> datetime | None:
    """Parse an HTTP date into a time in UTC; None when it is not a date."""
    try:
        moment = email.utils.parsedate_to_datetime(header or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):  # not a date, or one in the year 99999
        return None


def retry_after(header: str | None, now: datetime | None = None) -> timedelta | None:
    """How long a Retry-After header asks to wait, in seconds or until a date; None without one.

    Args:
        header: Value of the header.
        now: Time of the answer; None means the current time.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=int(text)) if len(text) < 10 else None
    moment = http_moment(text)
    return None if moment is None else max(timedelta(0), moment - (now or datetime.now(UTC)))
