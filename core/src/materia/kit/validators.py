"""ETag and Last-Modified: which of them a source asks with, and which are remembered.

A validator stands for the bytes that it came with, and is believed only beside bytes that were
verified. A fault of the transfer would else be remembered as a property of the file: the server
answers "not modified" for ever, and what broke on the way is never fetched again.

These rules hold for every source, whatever it returns. Pure functions.
"""

from __future__ import annotations

import re
from dataclasses import replace

from materia.data import Absent, Fetched, FetchResult, Known, Partition, Refused, Unchanged
from materia.errors import SourceError
from materia.kit.http_dates import http_moment

__all__ = [
    "usable_date",
    "usable_etag",
]

# What RFC 9110 allows in an entity tag, but for bytes above 0x7F, which clients cannot send back;
# and the bare words that some servers send. An empty tag names nothing, and `*` names everything.
ETAG = re.compile(r'(?:W/)?"[!#-~]+"|(?!W/)[A-Za-z0-9][A-Za-z0-9._:/+=-]*')
LONGEST = 512


def usable_etag(etag: str | None) -> str | None:
    """*etag* when it can be sent back as it is; else None."""
    if etag is None or len(etag) > LONGEST or not ETAG.fullmatch(etag):
        return None
    return etag


def usable_date(last_modified: str | None) -> str | None:
    """*last_modified* when it is a date of HTTP; else None."""
    if last_modified is None or len(last_modified) > LONGEST or not last_modified.isascii():
        return None
    return last_modified if http_moment(last_modified) is not None else None


def to_ask_with(known: Known | None, partition: Partition, *, everything: bool) -> Known | None:
    """What the source is given of what is *known*: without validators it asks unconditionally.

    They are left out when *everything* is asked for, when they belong to another address, and for a
    file that was refused and that no second download has confirmed.
    """
    if known is None:
        return None
    unconfirmed = known.refused is not None and known.refused_sha256 is None
    if everything or unconfirmed or known.url != partition.url:
        return replace(known, etag=None, last_modified=None)
    etag, date = usable_etag(known.etag), usable_date(known.last_modified)
    return replace(known, etag=etag, last_modified=date)


def to_keep(
    known: Known | None, partition: Partition, result: FetchResult, *, everything: bool
) -> FetchResult:
    """What is recorded of *result*, when this was *known*.

    Raises:
        SourceError: it contradicts what was asked.
    """
    here = known if known is not None and known.url == partition.url else None
    match result:
        case Fetched(raw=raw):
            etag, date = usable_etag(raw.etag), usable_date(raw.last_modified)
            # Without validators the sink has lost the file and wants it.
            if everything and here is not None and (here.etag or here.last_modified):
                in_use = here.raw is not None and here.raw.sha256 == raw.sha256
                if in_use and here.refused is None:
                    return Unchanged(etag=etag, last_modified=date, sha256=raw.sha256)
            return replace(result, raw=replace(raw, etag=etag, last_modified=date))
        case Unchanged():
            asked = to_ask_with(known, partition, everything=everything)
            return _unchanged(known, asked, partition, result)
        case Refused():
            return _refused(here, result)
        case Absent():
            return result


def _unchanged(
    known: Known | None, asked: Known | None, partition: Partition, result: Unchanged
) -> Unchanged:
    """With the validators that belong to the content that is kept."""
    if known is not None and result.sha256 is not None:
        newest = known.refused_sha256 if known.refused is not None else _sha256_in_use(known)
        if result.sha256 == newest:
            return replace(
                result,
                etag=usable_etag(result.etag),
                last_modified=usable_date(result.last_modified),
            )
    elif asked is not None and (asked.etag or asked.last_modified):
        return replace(result, etag=asked.etag, last_modified=asked.last_modified)
    raise SourceError(
        f"{partition.url}: is said to be unchanged, though it was asked for without conditions; "
        "run again"
    )


def _refused(known: Known | None, result: Refused) -> Refused | Unchanged:
    """Refused anew, without validators; or, after the same bytes once before, still refused."""
    if known is not None and known.refused is not None:
        if result.sha256 is not None and result.sha256 == known.refused_sha256:
            return Unchanged(
                etag=usable_etag(result.etag),
                last_modified=usable_date(result.last_modified),
                sha256=result.sha256,
            )
        if result.sha256 is None and result.reason == known.refused:
            return Unchanged(etag=None, last_modified=None)
    return replace(result, etag=None, last_modified=None)


def _sha256_in_use(known: Known) -> str | None:
    return known.raw.sha256 if known.raw is not None else None
