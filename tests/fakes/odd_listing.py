"""How a store lists its objects, page by page, and what may be odd about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from urllib.parse import quote
from xml.sax.saxutils import escape


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One line of a listing."""

    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one request is answered."""

    lines: tuple[tuple[str, Listed], ...]
    cut: bool
    token: str | None


def page_of(
    objects: Mapping[str, Listed], odd: frozenset[str], query: Mapping[str, str], *, size: int
) -> Page:
    """A page of the objects that begin with the prefix, and what is *odd* with it.

    half: the first half, said to be cut short, without a token for the rest
    nothing: as if there were no objects
    drops: the last line of each page is left out
    repeats: the token leads to the same page
    no end: empty pages that lead to each other
    strangers: names nobody asked for come along, the same without the prefix of the bucket too
    encoded: names are percent-encoded, though nobody asked for that
    sizes: of other objects
    twice: each line
    no etags: there are none
    ancient: all is said to be of 1970
    """
    names = [name for name in objects if name.startswith(query.get("prefix", ""))]
    begin = int(query.get("continuation-token", "0"))
    if "nothing" in odd:
        names = []
    if "no end" in odd:
        return Page(lines=(), cut=True, token="0")  # noqa: S106 -- of a page
    if "half" in odd:
        half = names[: len(names) // 2]
        return Page(lines=tuple((name, objects[name]) for name in half), cut=True, token=None)
    lines = [(name, objects[name]) for name in islice(names, begin, begin + size)]
    cut = begin + size < len(names)
    token = str(begin if "repeats" in odd else begin + size) if cut or "repeats" in odd else None
    if "drops" in odd and cut:
        lines = lines[:-1]
    lines = _changed(lines, odd, query.get("prefix", ""))
    return Page(lines=tuple(lines), cut=cut, token=token)


def _changed(
    lines: list[tuple[str, Listed]], odd: frozenset[str], prefix: str
) -> list[tuple[str, Listed]]:
    if "strangers" in odd and lines:
        _, one = lines[0]
        lines += [("raw/acme/2026-01/known.json", one), ("zzz/else.json", one)]
        lines.append((f"{prefix}notes/readme.txt", one))
    if "encoded" in odd:
        lines = [(quote(name, safe=""), one) for name, one in lines]
    if "sizes" in odd:
        lines = [(name, replace(one, size=one.size + 7)) for name, one in lines]
    if "no etags" in odd:
        lines = [(name, replace(one, etag="")) for name, one in lines]
    if "ancient" in odd:
        lines = [(name, replace(one, modified=datetime.fromtimestamp(0, one.modified.tzinfo)))
                 for name, one in lines]  # fmt: skip
    if "twice" in odd:
        lines = [line for line in lines for _ in range(2)]
    return lines


def answer(page: Page, query: Mapping[str, str]) -> bytes:
    """The page as S3 writes it."""
    lines = "".join(
        f"<Contents><Key>{escape(name)}</Key><Size>{one.size}</Size>"
        f"<LastModified>{one.modified:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
        + (f"<ETag>{escape(one.etag)}</ETag>" if one.etag else "")
        + "</Contents>"
        for name, one in page.lines
    )
    token = "" if page.token is None else f"<NextContinuationToken>{page.token}</>"
    token = token.replace("</>", "</NextContinuationToken>")
    return (
        f"<?xml version='1.0'?><ListBucketResult><Prefix>{escape(query.get('prefix', ''))}</Prefix>"
        f"<IsTruncated>{str(page.cut).lower()}</IsTruncated>{token}{lines}</ListBucketResult>"
    ).encode()
