"""ETag and Last-Modified: conditional requests, and which validators are safe to remember.

A validator stands for the bytes that came with it, and the runner trusts it only once those bytes
were verified. Otherwise a damaged download would stay for ever: the server answers "not modified",
and the file is never fetched again.
"""

from __future__ import annotations

import re

from materia.kit.http_dates import http_moment

__all__ = ["usable_date", "usable_etag"]

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
