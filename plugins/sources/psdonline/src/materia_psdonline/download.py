"""Ask a server for one archive, without fetching what is already here."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from materia.errors import SourceError
from materia.model import Absent, FetchRequest, Known, Unchanged

from materia_psdonline.answers import retry_after_seconds, starts_at, still_the_same
from materia_psdonline.arrival import Arrived, Part

TIMEOUT = httpx.Timeout(30, connect=10)
ATTEMPTS = 4
# Waits between attempts grow 1, 2, 4 s, each shortened at random so that downloads that failed
# together do not come back together.
FIRST_WAIT_SECONDS = 1.0
# A server that wants us to stay away longer than this is not waited for.
LONGEST_WAIT_SECONDS = 60.0
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
# After so many partitions failed one after the other the server is down, and the rest (there are
# 230) are asked for once each instead of four times.
PATIENCE = 4
# A server that could not be reached at all is left alone for this long.
UNREACHABLE_SECONDS = 30.0


class _TryAgainError(Exception):
    """This attempt failed in a way that may pass; `wait` is what the server asked for, in s."""

    def __init__(self, reason: str, *, wait: float | None = None, reached: bool = True) -> None:
        super().__init__(reason)
        self.wait = wait
        self.reached = reached


class Downloader:
    """Downloads over connections that are kept open and shared by all threads.

    Proxies and certificates come from the usual variables: HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE.
    """

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = httpx.Client(
            timeout=TIMEOUT,
            follow_redirects=True,
            headers={
                "User-Agent": "materia-psdonline (conditional requests, a few at a time)",
                "Accept-Encoding": "identity",  # a zip does not shrink; its hash is of these bytes
            },
        )
        self._sleep = sleep
        self._lock = threading.Lock()
        self._failed_in_a_row = 0
        self._unreachable_until = 0.0
        self._unreachable_because = ""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def download(self, request: FetchRequest, part_path: Path) -> Arrived | Unchanged | Absent:
        """Ask for the request's partition; a file goes to *part_path*.

        What arrived before a connection broke is kept for the next attempt, when the server has
        said by a strong ETag what it is a part of.

        Raises:
            SourceError: after a few attempts, or at once when another would end the same way.
            TooLargeError: the file is far larger than any release.
            OSError: *part_path* cannot be written.
        """
        url = request.partition.url
        if time.monotonic() < self._unreachable_until:
            raise SourceError(f"{url}: not asked: {self._unreachable_because} a moment ago")
        attempts = ATTEMPTS if self._failed_in_a_row < PATIENCE else 1
        download = _Download(self._client, request, part_path)
        try:
            for attempt in range(1, attempts + 1):
                try:
                    answer = download.attempt()
                except _TryAgainError as error:
                    if attempt == attempts:
                        self._failed(error)
                        times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
                        raise SourceError(f"{url}: {error} ({times})") from error
                    self._wait(url, attempt, error)
                else:
                    self._failed_in_a_row = 0
                    return answer
            raise AssertionError("the last attempt returns or raises")
        finally:
            download.discard()

    def _failed(self, error: _TryAgainError) -> None:
        with self._lock:
            self._failed_in_a_row += 1
            if not error.reached:
                self._unreachable_because = str(error)
                self._unreachable_until = time.monotonic() + UNREACHABLE_SECONDS

    def _wait(self, url: str, attempt: int, error: _TryAgainError) -> None:
        if error.wait is None:
            # Jitter needs no cryptography.
            jitter = random.uniform(0.5, 1)  # noqa: S311 -- as above
            self._sleep(FIRST_WAIT_SECONDS * 2 ** (attempt - 1) * jitter)
        elif error.wait <= LONGEST_WAIT_SECONDS:
            self._sleep(error.wait)
        else:
            self._failed(error)
            raise SourceError(
                f"{url}: {error}; the server asks to wait {error.wait:.0f} s: run again later"
            ) from error


class _Download:
    """The attempts at one partition."""

    def __init__(self, client: httpx.Client, request: FetchRequest, part_path: Path) -> None:
        self._client = client
        self._request = request
        self._part_path = part_path
        self._part: Part | None = None
        self._part_etag: str | None = None
        known = request.known
        self._known: Known | None = known if known and known.url == request.partition.url else None

    def discard(self) -> None:
        if self._part is not None:
            self._part.discard()

    def attempt(self) -> Arrived | Unchanged | Absent:
        """One request; _TryAgainError when another one may do better."""
        url = self._request.partition.url
        try:
            with self._client.stream("GET", url, headers=self._headers()) as response:
                return self._read(response)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
            raise SourceError(f"{url}: {error}") from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            host = httpx.URL(url).host
            reason = f"{host} cannot be reached: {_reason(error)}"
            raise _TryAgainError(reason, reached=False) from error
        except httpx.HTTPError as error:
            raise _TryAgainError(_reason(error)) from error

    def _headers(self) -> dict[str, str]:
        headers = {}
        if self._known is not None and self._known.etag:
            headers["If-None-Match"] = self._known.etag
        if self._known is not None and self._known.last_modified:
            headers["If-Modified-Since"] = self._known.last_modified
        if self._part is not None and self._part.size and self._part_etag:
            # The condition was answered by the bytes that are here already.
            return {"Range": f"bytes={self._part.size}-", "If-Range": self._part_etag}
        return headers

    def _read(self, response: httpx.Response) -> Arrived | Unchanged | Absent:
        url, status = self._request.partition.url, response.status_code
        etag = response.headers.get("ETag")
        last_modified = response.headers.get("Last-Modified")
        if status in {404, 410}:
            return Absent()
        if self._known is not None and (
            status == 304 or (status == 200 and still_the_same(self._known, etag, last_modified))
        ):
            # Some servers ignore the condition; what they answer with tells just as well, and
            # leaving before the body saves it.
            return Unchanged(
                etag=etag or self._known.etag,
                last_modified=last_modified or self._known.last_modified,
            )
        answer = f"the server answers {status} {response.reason_phrase}".rstrip()
        if status in RETRIED:
            wait = retry_after_seconds(response.headers.get("Retry-After"))
            raise _TryAgainError(answer, wait=wait)
        if status == 416 and self._part is not None:
            self._part.start_again()
            raise _TryAgainError(f"{answer} when asked for the rest", wait=0.0)
        if status not in {200, 206}:
            raise SourceError(f"{url}: {answer}")
        part = self._part_for(response)
        self._part_etag = etag if etag and not etag.startswith("W/") else None
        for chunk in response.iter_bytes():
            part.write(chunk)
        return part.arrived(etag=etag, last_modified=last_modified)

    def _part_for(self, response: httpx.Response) -> Part:
        """Where the body goes: behind what is here when it is the rest of it, else anew."""
        if self._part is None:
            self._part = Part(self._part_path, self._request.received)
        if response.status_code == 206:
            if starts_at(response.headers.get("Content-Range")) != self._part.size:
                self._part.start_again()
                raise _TryAgainError("the server sent another part than it was asked for", wait=0.0)
        elif self._part.size:
            self._part.start_again()
        return self._part


def _reason(error: httpx.HTTPError) -> str:
    """What happened, for people: httpx leaves the message of a timeout empty or terse."""
    match error:
        case httpx.ConnectTimeout():
            return f"no connection within {TIMEOUT.connect:.0f} s"
        case httpx.TimeoutException():
            return f"nothing was received for {TIMEOUT.read:.0f} s"
    return f"{error}" or type(error).__name__
