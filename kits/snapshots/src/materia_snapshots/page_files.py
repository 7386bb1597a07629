"""Fetch the pages of an API into a file of JSON lines; go on at the last cursor after a failure."""

from __future__ import annotations

import hashlib
import json
import os
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from materia.data import Absent, Fetched, FetchRequest, FetchResult, RawFile, Refused
from materia.errors import SourceError
from materia.kit.http_dates import retry_after
from materia_http.client import client
from materia_http.download import Patience

from materia_snapshots.exact_numbers import plain
from materia_snapshots.pages import Api, Page, Pages
from materia_snapshots.periods import Period, cursor_of, with_cursor

MISSING = frozenset({404, 410})
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
LONGEST_CURSOR = 500


class _AbsentError(Exception):
    """The API says that there is no such thing."""


class _TooLongError(Exception):
    """There are more bytes than the limit."""


class _WrongRecordError(Exception):
    """A page has a record that is of no use."""


@dataclass(slots=True)
class _Written:
    """The pages that arrived so far, and the last cursor with the bytes of all pages up to it."""

    path: Path
    limit: int
    size: int = 0
    cursor: str = ""
    up_to_cursor: int = 0

    def add(self, page: Page) -> int:
        """Append the records of a page; returns their number of bytes."""
        lines = [
            json.dumps(_record(one), sort_keys=True, allow_nan=False, default=_exact)
            for one in page.records
        ]
        text = "".join(f"{line}\n" for line in lines).encode()
        if self.size + len(text) > self.limit:
            raise _TooLongError
        with self.path.open("ab") as file:
            file.write(text)
        self.size += len(text)
        if page.cursor:
            self.cursor, self.up_to_cursor = page.cursor, self.size
        return len(text)

    def go_back(self) -> None:
        """Remove the pages behind the last cursor, which will come again."""
        if self.up_to_cursor < self.size:
            os.truncate(self.path, self.up_to_cursor)
            self.size = self.up_to_cursor


class PageFiles:
    """The partitions of an API, each fetched page by page; several threads may fetch at once."""

    def __init__(
        self,
        base: str,
        form: Pages,
        *,
        runs: bool,
        agent: str,
        limit: int,
        secrets: Mapping[str, str],
        patience: Patience | None = None,
    ) -> None:
        self._base = base
        self._form = form
        self._runs = runs
        self._limit = limit
        self._secrets = secrets
        self._patience = patience or Patience()
        self._client = client(
            base,
            timeout=httpx.Timeout(self._patience.silence, connect=self._patience.connect),
            follow_redirects=not secrets,  # another server must not get them
            headers={"User-Agent": agent, "Accept": "application/json"},
        )
        weakref.finalize(self, self._client.close)

    def fetch(self, request: FetchRequest, period: Period) -> FetchResult:
        """Fetch the pages of a partition, as `materia.Source.fetch` promises."""
        url = request.partition.url
        part = request.directory / f"{request.partition.key.replace('/', '-')}.part"
        part.unlink(missing_ok=True)
        written = _Written(part, self._limit, cursor=cursor_of(url))
        try:
            self._read(written, period, request)
        except _AbsentError as error:
            part.unlink(missing_ok=True)
            if written.size:
                raise SourceError(
                    f"{url}: {error} after some pages, so others are missing"
                ) from error
            return Absent(reason=str(error))
        except _TooLongError:
            part.unlink(missing_ok=True)
            reason = f"has more than {self._limit:,} bytes of records"
            return Refused(reason=reason, etag=None, last_modified=None, path=None)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        if not written.size:
            part.unlink(missing_ok=True)
            return Absent(reason="the API has no records")
        behind = written.up_to_cursor == written.size and written.cursor != cursor_of(url)
        if self._runs and not behind:
            part.unlink()
            raise SourceError(
                f"{url}: the pages have no cursor behind their records, so the next run would get "
                "the same ones again: give each Page its cursor, the last one too"
            )
        sha256 = hashlib.sha256(part.read_bytes()).hexdigest()
        return Fetched(
            raw=RawFile(
                partition=request.partition.key,
                file=request.partition.file,
                url=url,
                sha256=sha256,
                content=with_cursor(sha256, written.cursor) if self._runs else sha256,
                size=written.size,
                etag=None,
                last_modified=None,
                fetched_at=datetime.now(UTC),
            ),
            path=part.rename(part.with_suffix(".jsonl")),
        )

    def _read(self, written: _Written, period: Period, request: FetchRequest) -> None:
        url = request.partition.url
        while True:
            began = written.cursor
            try:
                api = Api(
                    period=period, cursor=written.cursor, secrets=self._secrets, get=self._get
                )
                for page in self._form.read(api):
                    _check_cursor(page, written.cursor, url)
                    request.received(written.add(page))
            except SourceError:
                if written.cursor == began:  # no page came, so another attempt would not help
                    raise
                written.go_back()
            except _WrongRecordError as error:
                raise SourceError(f"{url}: {error}") from error
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                raise SourceError(
                    f"{url}: the API's answer has another form than expected: "
                    f"{type(error).__name__}: {error}"
                ) from error
            else:
                return

    def _get(
        self, path: str = "", /, *, headers: Mapping[str, str] | None = None, **parameters: object
    ) -> Any:
        url = f"{self._base}/{path}".rstrip("/") if path else self._base
        attempt = 1
        while True:
            try:
                texts = {name: str(one) for name, one in parameters.items() if one is not None}
                return self._answer(url, texts, headers or {})
            except httpx.HTTPError as error:
                if attempt == self._patience.attempts or not _passes(error):
                    said = _said(error)
                    raise SourceError(f"{url}: {said}") from error
                time.sleep(self._pause(attempt, error))
                attempt += 1

    def _answer(self, url: str, parameters: Mapping[str, str], headers: Mapping[str, str]) -> Any:
        content = bytearray()
        with self._client.stream(
            "GET", httpx.URL(url).copy_merge_params(dict(parameters)), headers=dict(headers)
        ) as response:
            if response.status_code in self._form.absent:
                raise _AbsentError(f"the server answers {response.status_code}")
            response.raise_for_status()
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > self._limit:
                    raise _TooLongError
        try:
            return json.loads(content, parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            begin = bytes(content[:40])
            raise SourceError(f"{url}: answers {begin!r}, which is no JSON") from error

    def _pause(self, attempt: int, error: httpx.HTTPError) -> float:
        asked = None
        if isinstance(error, httpx.HTTPStatusError):
            asked = retry_after(error.response.headers.get("Retry-After"))
        usual = self._patience.first_wait * 2 ** (attempt - 1)
        return min(usual if asked is None else asked.total_seconds(), self._patience.longest_wait)


def _record(one: Any) -> dict[str, Any]:
    if not isinstance(one, Mapping):
        raise _WrongRecordError(
            f"a record must be a mapping from column names to values, is {one!r:.60}"
        )
    return dict(one)


def _exact(value: object) -> str:
    """The text of a number that JSON's floats would round; rows are read from it as well."""
    if isinstance(value, Decimal) and value.is_finite():
        return plain(str(value))
    raise _WrongRecordError(
        f"a record has {value!s:.60}, a {type(value).__name__}; give text, a number, a boolean or "
        "None"
    )


def _check_cursor(page: Page, before: str, url: str) -> None:
    if not isinstance(page.cursor, str):
        raise SourceError(f"{url}: the cursor of a Page must be text, is {page.cursor!r:.60}")
    page.cursor.encode()  # half of a surrogate pair cannot be kept
    if len(page.cursor) > LONGEST_CURSOR:
        raise SourceError(f"{url}: the API gives a cursor that is too long")
    if page.records and page.cursor and page.cursor == before:
        raise SourceError(
            f"{url}: the API gives the cursor {page.cursor!r} twice: it would never end"
        )


def _said(error: httpx.HTTPError) -> str:
    """What went wrong, without the parameters of the request, which may have a key."""
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        hint = f"; if it has nothing then, declare Pages(..., absent=({status},))"
        return f"the server answers {status}{hint if status in MISSING else ''}"
    return str(error) or type(error).__name__


def _passes(error: httpx.HTTPError) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in RETRIED
    return not isinstance(error, httpx.UnsupportedProtocol | httpx.TooManyRedirects)
