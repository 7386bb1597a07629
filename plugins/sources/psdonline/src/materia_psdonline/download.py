"""Ask a server for one archive, without fetching what is already here."""

from __future__ import annotations

import contextlib
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from materia.errors import SourceError
from materia.model import Absent, FetchRequest, Known, Unchanged

from materia_psdonline.answers import length_of, retry_after_seconds, starts_at, still_the_same
from materia_psdonline.arrival import MAX_FILE_BYTES, Arrived, Part, TooLargeError

# httpx also is a command, whose imports (click, rich) take longer than all the rest of it: 0.15 s
# of 0.24. None is how Python says that a module is not to be had, and httpx does without.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

import httpx  # noqa: E402 -- as above

# Pages that come with a 404 or 503 are shorter; more is not worth reading.
SHORT_ANSWER_BYTES = 1 << 16
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to bear with a server; all in seconds but `attempts`.

    Attributes:
        attempts: Requests for one partition, the first included.
        first_wait: Before the second attempt; doubled for each after it, and shortened at random
            by up to a half, so that downloads that failed together do not come back together.
        longest_wait: A server that wants us to stay away for longer is not waited for.
        connect: Until a connection must stand.
        silence: How long nothing may arrive.
        whole: Until one attempt must have brought the file, however steadily it drips. At 25 kB/s,
            which is less than any line of today, that is the largest file.
    """

    attempts: int = 4
    first_wait: float = 1.0
    longest_wait: float = 60.0
    connect: float = 10.0
    silence: float = 30.0
    whole: float = 600.0


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

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._client = httpx.Client(
            timeout=httpx.Timeout(patience.silence, connect=patience.connect),
            follow_redirects=True,
            headers={
                "User-Agent": "materia-psdonline (conditional requests, a few at a time)",
                "Accept-Encoding": "identity",  # a zip does not shrink; its hash is of these bytes
            },
        )
        # There are 230 releases: while the server cannot be reached at all, each is tried once.
        self._reached = True

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
        download = _Download(self._client, request, part_path, self._patience)
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
        """How long to wait before the next attempt; SourceError when that is too long."""
        patience = self._patience
        if error.wait is None:
            jitter = random.uniform(0.5, 1)  # noqa: S311 -- needs no cryptography
            return float(patience.first_wait * 2 ** (attempt - 1) * jitter)
        if error.wait > patience.longest_wait:
            raise SourceError(
                f"{url}: {error}, and asks to wait {error.wait:.0f} s: run again later"
            ) from error
        return error.wait


class _Download:
    """The attempts at one partition."""

    def __init__(
        self, client: httpx.Client, request: FetchRequest, part_path: Path, patience: Patience
    ) -> None:
        self._client = client
        self._patience = patience
        self._request = request
        self._part_path = part_path
        self._part: Part | None = None
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
                try:
                    return self._read(response)
                finally:
                    _use_up(response)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
            raise SourceError(f"{url}: {error}") from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            host = error.request.url.host  # another one after a redirect
            raise _TryAgainError(f"{host} cannot be reached: {error}", reached=False) from error
        except httpx.TimeoutException as error:
            raise _TryAgainError(f"nothing arrived for {self._patience.silence:g} s") from error
        except httpx.HTTPError as error:
            raise _TryAgainError(str(error) or type(error).__name__) from error

    def _headers(self) -> dict[str, str]:
        if (part := self._part) is not None and part.size:
            if part.etag and not part.etag.startswith("W/"):
                # The bytes that are here already have answered the condition.
                return {"Range": f"bytes={part.size}-", "If-Range": part.etag}
            part.start_again()
        headers = {}
        if self._known is not None and self._known.etag:
            headers["If-None-Match"] = self._known.etag
        if self._known is not None and self._known.last_modified:
            headers["If-Modified-Since"] = self._known.last_modified
        return headers

    def _read(self, response: httpx.Response) -> Arrived | Unchanged | Absent:
        url, status = self._request.partition.url, response.status_code
        etag = response.headers.get("ETag")
        last_modified = response.headers.get("Last-Modified")
        if status == 410 or (status == 404 and (self._known is None or self._known.raw is None)):
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
        if status == 404:
            # An archive does not lose a release; a server that is being worked on does.
            raise SourceError(f"{url}: {answer} for a release it had; the copy at hand stays")
        if status not in {200, 206}:
            raise SourceError(f"{url}: {answer}")
        if (length_of(response.headers.get("Content-Length")) or 0) > MAX_FILE_BYTES:
            raise TooLargeError(etag, last_modified)
        part = self._part_for(response)
        part.etag, part.last_modified = etag, last_modified
        deadline = time.monotonic() + self._patience.whole
        for chunk in response.iter_bytes():
            part.write(chunk)
            if time.monotonic() > deadline:
                raise _TryAgainError(f"the file did not arrive within {self._patience.whole:g} s")
        return part.arrived()

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


def _use_up(response: httpx.Response) -> None:
    """Read what is left of a short answer: only then can its connection be used again."""
    if response.status_code in {200, 206} or response.is_stream_consumed:
        return
    left = SHORT_ANSWER_BYTES
    with contextlib.suppress(httpx.HTTPError):  # the answer itself is known by now
        for chunk in response.iter_raw():
            left -= len(chunk)
            if left < 0:
                break
