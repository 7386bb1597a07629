"""S3 redirects: find out whether a store redirects requests to another host or region.

The client follows redirects silently. A signed request loses its signature on the way to another
host, and the answer there ("access denied") does not show the cause.
"""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

from materia_store.object_store_errors import proxy_for

WAIT_SECONDS = 5
REDIRECTS = {301, 302, 303, 307, 308}


def redirected_to(endpoint: str, bucket: str) -> str | None:
    """The host that the store redirects *bucket* to, or None; sends one unsigned request."""
    split = urlsplit(endpoint)
    if proxy_for(endpoint) is not None or split.hostname is None:
        return None
    kind = http.client.HTTPSConnection if split.scheme == "https" else http.client.HTTPConnection
    connection = kind(split.hostname, split.port, timeout=WAIT_SECONDS)
    try:
        connection.request("HEAD", f"/{bucket}/")
        answer = connection.getresponse()
        if answer.status not in REDIRECTS:
            return None
        there = urlsplit(answer.getheader("Location") or "")
        named = there.hostname or answer.getheader("x-amz-bucket-region") or "another place"
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return named if named.isascii() and named.isprintable() else "another place"
