"""HTTP headers: ETag, Last-Modified, Content-Length and Content-Range; pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from materia.data import Known
from materia.kit.http_dates import http_moment

__all__ = ["Span", "confirms", "length_of", "span_of", "still_the_same"]

LONGEST = 100  # of a numeric header


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The range of a file in an answer: `bytes 1000-1999/2000`.

    Attributes:
        start: Offset of the first byte.
        end: Offset behind the last byte.
        length: Size of the whole file, or None when the server does not know it.
    """

    start: int
    end: int
    length: int | None


def still_the_same(
    known: Known, etag: str | None, last_modified: str | None, length: int | None = None
) -> bool:
    """Whether an answer with a body is the known file, by its headers.

    The ETag decides; without one Last-Modified decides. A file of another length, or an older one,
    is another file whatever its ETag.
    """
    if known.raw is not None and known.refused is None and length not in {None, known.raw.size}:
        return False
    if etag or known.etag:
        return etag == known.etag and not _older(last_modified, known.last_modified)
    return last_modified is not None and last_modified == known.last_modified


def confirms(known: Known, etag: str | None, last_modified: str | None) -> bool:
    """Whether a 304 means that the file is the *known* one, and not only that it is not newer.

    It does not with another ETag than the requested one, with any ETag when none was known, or with
    an older date. By the date alone, both dates must be equal.
    """
    if known.etag:
        same = etag is None or _opaque(etag) == _opaque(known.etag)
        return same and not _older(last_modified, known.last_modified)
    if etag is not None:
        return False
    return last_modified is None or http_moment(last_modified) == http_moment(known.last_modified)


def _opaque(etag: str) -> str:
    """An ETag for If-None-Match, which compares weak and strong ones as equal."""
    return etag.strip().removeprefix("W/")


def _older(last_modified: str | None, before: str | None) -> bool:
    now, then = http_moment(last_modified), http_moment(before)
    return now is not None and then is not None and now < then


def length_of(content_length: str | None) -> int | None:
    """The number of bytes in a Content-Length header."""
    text = (content_length or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST else None


def span_of(content_range: str | None) -> Span | None:
    """The range in a Content-Range header; None when it is impossible."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", (content_range or "").strip(), re.ASCII)
    if found is None or len(content_range or "") > LONGEST:
        return None
    start, end = int(found[1]), int(found[2]) + 1
    length = None if found[3] == "*" else int(found[3])
    if end <= start or (length is not None and length < end):
        return None
    return Span(start=start, end=end, length=length)
