"""Download a file over HTTP: conditional requests (ETag), retries, resume, time limits."""

from __future__ import annotations

import contextlib
import random
import time
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from materia.data import Absent, FetchRequest, Known, Unchanged
from materia.errors import SourceError
from materia.kit.http_dates import retry_after
from materia.kit.validators import usable_date, usable_etag

from materia_http.client import client
from materia_http.headers import (
    Span,
    confirms,
    length_of,
    span_of,
    still_the_same,
)
from materia_http.partial_file import Arrived, Part, TooLargeError

__all__ = ["Downloader", "Patience"]

# The body of a 404 or 503 is shorter; do not read more than this.
SHORT_ANSWER_BYTES = 1 << 16
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
# The file does not exist; buckets answer 403 for that.
ABSENT = frozenset({404, 410, 451})
DENIED = ABSENT | {403}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Retry and time limits of a download; all in seconds except `attempts`.

    Attributes:
        attempts: Requests for one partition, the first included.
        first_wait: Before the second attempt; doubled for each retry, and shortened at random by
            up to a half (jitter), so that failed downloads do not retry at the same moment.
        longest_wait: The longest Retry-After that a download waits for.
        connect: Time limit to connect.
        silence: Time limit without any data.
        whole: Time limit of one attempt, however steadily data arrives. At 25 kB/s, slower than
            any connection of today, that is enough for the largest file.
    """

    attempts: int = 4
    first_wait: float = 1.0
    longest_wait: float = 60.0
    connect: float = 10.0
    silence: float = 30.0
    whole: float = 600.0


class _TryAgainError(Exception):
    """This attempt failed and a retry may succeed; `wait` is the server's Retry-After in s."""

    def __init__(self, reason: str, *, wait: float | None = None, reached: bool = True) -> None:
        super().__init__(reason)
        self.wait = wait
        self.reached = reached


class Downloader:
    """Downloads over keep-alive connections that all threads share.

    Proxies and certificates come from the usual variables: HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE.

    Args:
        base: An address of the server, for the variables of proxies and certificates.
        patience: Retry and time limits.
        agent: Name of the source for the server's log.
        limit: Most bytes that a file may have.

    Raises:
        VariableError: one of these variables cannot be used.
    """

    def __init__(self, base: str, patience: Patience, *, agent: str, limit: int) -> None:
        self._patience = patience
        self._limit = limit
        self._client = client(
            base,
            timeout=httpx.Timeout(patience.silence, connect=patience.connect),
            follow_redirects=True,
            headers={
                "User-Agent": f"{agent} (conditional requests, a few at a time)",
                "Accept-Encoding": "identity",  # the hash is of the file's own bytes
            },
        )
        # There may be hundreds of files: while the server is unreachable, each has one attempt.
        self._reached = True

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def download(
        self, request: FetchRequest, part_path: Path, *, again: bool = False
    ) -> Arrived | Unchanged | Absent:
        """Download the request's partition to *part_path*.

        With *again* the request has no conditions and bypasses every cache on the way.

        When a connection breaks, the next attempt resumes if the server has sent a strong ETag.

        Raises:
            SourceError: after a few attempts, or at once when a retry would fail the same way.
            TooLargeError: the file has more bytes than the limit.
            OSError: *part_path* cannot be written.
        """
        download = _Download(
            self._client, request, part_path, self._patience, limit=self._limit, again=again
        )
        attempts = self._patience.attempts if self._reached else 1
        attempt = 1
        try:
            while True:
                try:
                    answer = download.attempt()
                except _TryAgainError as error:
                    if attempt == attempts:
                        self._reached = error.reached
                        times = f"{attempt} attempt{'s' if attempt > 1 else ''}"
                        raise SourceError(f"{request.partition.url}: {error} ({times})") from error
                    wait = self._wait_seconds(request.partition.url, attempt, error)
                else:
                    self._reached = True
                    return answer
                time.sleep(wait)
                attempt += 1
        finally:
            download.discard()

    def _wait_seconds(self, url: str, attempt: int, error: _TryAgainError) -> float:
        """The pause before the next attempt; SourceError when it is too long."""
        patience = self._patience
        if error.wait is None:
            jitter = random.uniform(0.5, 1)  # noqa: S311 -- needs no cryptography
            return float(patience.first_wait * 2 ** (attempt - 1) * jitter)
        if error.wait > patience.longest_wait:
            raise SourceError(
                f"{url}: {error}; the server asks to wait {error.wait:.0f} s: run again later"
            ) from error
        return error.wait


class _Download:
    """The attempts at one partition."""

    def __init__(
        self,
        client: httpx.Client,
        request: FetchRequest,
        part_path: Path,
        patience: Patience,
        *,
        limit: int,
        again: bool,
    ) -> None:
        self._client = client
        self._patience = patience
        self._limit = limit
        self._request = request
        self._part_path = part_path
        self._part: Part | None = None
        known = request.known
        here = known is not None and known.url == request.partition.url and not again
        asks = known is not None and (known.etag or known.last_modified)
        # The validators for the conditions; without them the request also bypasses caches.
        self._known: Known | None = known if here and asks else None
        self._afresh = known is not None or again

    def discard(self) -> None:
        if self._part is not None:
            self._part.discard()

    def attempt(self) -> Arrived | Unchanged | Absent:
        """One request; _TryAgainError when a retry may succeed."""
        url = self._request.partition.url
        try:
            with self._client.stream("GET", url, headers=self._headers()) as response:
                try:
                    return self._read(response)
                finally:
                    _use_up(response)
        except (
            httpx.InvalidURL,
            httpx.UnsupportedProtocol,
            httpx.TooManyRedirects,
            ValueError,  # a redirect to an invalid URL
        ) as error:
            raise SourceError(f"{url}: {error}") from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            host = error.request.url.host  # another one after a redirect
            raise _TryAgainError(f"{host} cannot be reached: {error}", reached=False) from error
        except httpx.TimeoutException as error:
            raise _TryAgainError(f"nothing arrived for {self._patience.silence:g} s") from error
        except httpx.HTTPError as error:
            raise _TryAgainError(str(error) or type(error).__name__) from error

    def _headers(self) -> dict[str, str]:
        part, known = self._part, self._known
        if part is not None and part.size:
            if part.continued and part.etag:
                # An earlier answer with these bytes has met the condition already.
                return {"Range": f"bytes={part.size}-", "If-Range": part.etag}
            part.start_again()
        if known is None:
            return {"Cache-Control": "no-cache"} if self._afresh else {}
        if known.etag:
            # A date beside the ETag is ignored at best, and some servers use only the date.
            return {"If-None-Match": known.etag}
        return {"If-Modified-Since": known.last_modified or ""}

    def _read(self, response: httpx.Response) -> Arrived | Unchanged | Absent:
        if (answer := self._without_body(response)) is not None:
            return answer
        if (length_of(response.headers.get("Content-Length")) or 0) > self._limit:
            raise TooLargeError(self._limit)
        part = self._part_for(response)
        deadline = time.monotonic() + self._patience.whole
        for chunk in response.iter_bytes():
            part.write(chunk)
            if time.monotonic() > deadline:
                raise _TryAgainError(f"the file did not arrive within {self._patience.whole:g} s")
        if part.length is not None and part.size != part.length:
            if part.size > part.length:
                part.start_again()
            raise _TryAgainError(f"{part.size:,} of {part.length:,} bytes arrived", wait=0.0)
        return replace(part.arrived(), url=str(response.url))

    def _without_body(self, response: httpx.Response) -> Unchanged | Absent | None:
        """The result from status and headers alone; None when the body must be read."""
        url, status, headers = self._request.partition.url, response.status_code, response.headers
        answer = f"the server answers {status} {response.reason_phrase}".rstrip()
        had_one = self._request.known is not None and self._request.known.raw is not None
        if status in (DENIED if had_one else ABSENT):
            return Absent(reason=answer) if had_one else Absent()
        etag, last_modified = headers.get("ETag"), headers.get("Last-Modified")
        if status == 304:
            return self._not_modified(etag, last_modified)
        if status == 200 and (known := self._known) is not None:
            # Some servers ignore the condition; their headers are enough to compare, and closing
            # the connection before the body saves the download.
            length = length_of(headers.get("Content-Length"))
            return _unchanged(known) if still_the_same(known, etag, last_modified, length) else None
        if status in RETRIED:
            asked = retry_after(headers.get("Retry-After"))
            raise _TryAgainError(answer, wait=None if asked is None else asked.total_seconds())
        if status == 416 and self._part is not None:
            self._part.start_again()
            raise _TryAgainError(f"{answer} to the request for the rest", wait=0.0)
        if status not in {200, 206}:
            raise SourceError(f"{url}: {answer}")
        return None

    def _not_modified(self, etag: str | None, last_modified: str | None) -> Unchanged:
        """Handle a 304: accept it for the file that is kept, else request the file itself."""
        known, self._known = self._known, None
        if known is not None and confirms(known, etag, last_modified):
            return _unchanged(known)
        self._afresh = True
        if self._part is not None:
            self._part.start_again()
        to = "to a request without conditions" if known is None else "about another file"
        raise _TryAgainError(f"the server answers 304 {to}", wait=0.0)

    def _part_for(self, response: httpx.Response) -> Part:
        """Append the body if it is the rest of the partial file, else start a new file."""
        headers = response.headers
        part = self._part or Part(self._part_path, self._request.received, limit=self._limit)
        self._part = part
        etag = usable_etag(headers.get("ETag"))
        if response.status_code == 206:
            span = span_of(headers.get("Content-Range"))
            if span is None or not _continues(span, part, etag):
                part.start_again()
                self._known, self._afresh = None, True
                raise _TryAgainError(
                    "the server sent another part than the requested one", wait=0.0
                )
            part.length = span.length if part.length is None else part.length
            part.framed = part.length is not None
            return part
        if part.size:
            part.start_again()
        plain = headers.get("Content-Encoding", "identity").strip().lower() in {"", "identity"}
        announced = length_of(headers.get("Content-Length"))
        part.etag, part.last_modified = etag, usable_date(headers.get("Last-Modified"))
        part.length = announced if plain else None
        chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
        part.framed = announced is not None or chunked
        part.continued = plain and etag is not None and not etag.startswith("W/")
        return part


def _continues(span: Span, part: Part, etag: str | None) -> bool:
    """Whether an answer to a range request continues the partial file."""
    return (
        part.size > 0
        and part.continued
        and span.start == part.size
        and etag in {None, part.etag}
        and (None in {span.length, part.length} or span.length == part.length)
    )


def _unchanged(known: Known) -> Unchanged:
    """The unchanged result, with the validators of the kept file and not of the answer."""
    return Unchanged(etag=known.etag, last_modified=known.last_modified)


def _use_up(response: httpx.Response) -> None:
    """Read the rest of a short answer, so that its connection can be used again."""
    if response.status_code in {200, 206} or response.is_stream_consumed:
        return
    left = SHORT_ANSWER_BYTES
    with contextlib.suppress(httpx.HTTPError):  # the answer itself is complete already
        for chunk in response.iter_raw():
            left -= len(chunk)
            if left < 0:
                break
