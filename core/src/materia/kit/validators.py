"""ETag and Last-Modified: conditional requests, and which validators are safe to remember.

A validator stands for the bytes that came with it, and the runner trusts it only once those bytes
were verified. Otherwise a damaged download would stay for ever: the server answers "not modified",
and the file is never fetched again.

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

# Entity tags as RFC 9110 allows them, except bytes above 0x7F, which clients cannot send back; and
# the unquoted words that some servers send. Neither an empty tag nor `*` names a file.
ETAG = re.compile(r'(?:W/)?"[!#-~]+"|(?!W/)[A-Za-z0-9][A-Za-z0-9._:/+=-]*')
LONGEST = 512


def usable_etag(etag: str | None) -> str | None:
    """*etag* when a client can send it back unchanged; otherwise None."""
    if etag is None or len(etag) > LONGEST or not ETAG.fullmatch(etag):
        return None
    return etag


def usable_date(last_modified: str | None) -> str | None:
    """*last_modified* when it is an HTTP date; otherwise None."""
    if last_modified is None or len(last_modified) > LONGEST or not last_modified.isascii():
        return None
    return last_modified if http_moment(last_modified) is not None else None


def to_ask_with(known: Known | None, partition: Partition, *, everything: bool) -> Known | None:
    """*known* as the source gets it; without validators the source sends no conditional request.

    The validators are left out when *everything* is wanted, when they belong to another address,
    and for a refused file that no second download has confirmed.
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
    """The *result* to record, when *known* was known before.

    Raises:
        SourceError: the result contradicts the request.
    """
    here = known if known is not None and known.url == partition.url else None
    match result:
        case Fetched(raw=raw):
            etag, date = usable_etag(raw.etag), usable_date(raw.last_modified)
            # Without validators the sink has lost the file and needs it again.
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
    """*result* with the validators that belong to the file in the sink."""
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
        f"{partition.url}: the source reports it unchanged, but the request was unconditional; "
        "run again"
    )


def _refused(known: Known | None, result: Refused) -> Refused | Unchanged:
    """Refused without validators at first; unchanged when the same bytes came a second time."""
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
