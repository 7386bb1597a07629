"""Prices by month: https://acme.example/prices/2026-01.csv has the columns item and price."""

import hashlib
import http.client
import urllib.error
import urllib.request
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from materia.data import (
    Absent,
    Fetched,
    FetchRequest,
    FetchResult,
    LoadReport,
    LoadRequest,
    Partition,
    PartitionsRequest,
    RawFile,
    Refused,
    Unchanged,
)
from materia.errors import SourceError

FILE = "prices.csv"
HEADER = b"item,price\n"
CHECKED_AGAIN = 2  # Acme corrects its two newest months
TIMEOUT_SECONDS = 30


class AcmeSource:
    def __init__(self, *, url: str, first: str) -> None:
        self._url = url
        self._first = first

    def partitions(self, request: PartitionsRequest, /) -> list[Partition]:
        months = _months(self._first, request.now.date())
        due = [
            month
            for month in months
            if request.everything
            or (known := request.known.get(month)) is None
            or known.denied
            or known.refused is not None
            or month in months[-CHECKED_AGAIN:]
        ]
        return [Partition(key=month, url=f"{self._url}/{month}.csv", file=FILE) for month in due]

    def fetch(self, request: FetchRequest, /) -> FetchResult:
        partition, known = request.partition, request.known
        asked = urllib.request.Request(partition.url)  # noqa: S310 -- an address from materia.toml
        if known is not None and known.etag is not None and known.url == partition.url:
            asked.add_header("If-None-Match", known.etag)
        part = request.directory / f"{FILE}.part"
        try:
            with urllib.request.urlopen(asked, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 -- as above
                etag, length = answer.headers["ETag"], answer.headers["Content-Length"]
                with part.open("wb") as file:
                    while block := answer.read(65536):
                        file.write(block)
                        request.received(len(block))
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 304 and known is not None:
                if error.headers["ETag"] in {None, known.etag}:
                    return Unchanged(etag=known.etag, last_modified=None)
                return self.fetch(replace(request, known=None))  # it speaks of another file
            if error.code in {404, 410}:
                return Absent(reason=f"the server answers {error.code}")
            raise SourceError(f"{partition.url}: the server answers {error.code}") from error
        except (OSError, http.client.HTTPException) as error:
            raise SourceError(f"{partition.url}: cannot be fetched: {error}") from error
        content = part.read_bytes()
        if length is None or len(content) != int(length):
            raise SourceError(f"{partition.url}: broke off, {len(content)} of {length} bytes came")
        path = part.rename(request.directory / FILE)
        if not content.startswith(HEADER):
            reason = f"does not begin with {HEADER.decode().strip()!r}"
            return Refused(reason=reason, etag=etag, last_modified=None, path=path)
        sha256 = hashlib.sha256(content).hexdigest()
        raw = RawFile(
            partition=partition.key,
            file=FILE,
            url=partition.url,
            sha256=sha256,
            content=sha256,
            size=len(content),
            etag=etag,
            last_modified=None,
            fetched_at=datetime.now(UTC),
        )
        return Fetched(raw=raw, path=path)

    def load(self, request: LoadRequest, /) -> LoadReport:
        from materia_acme.load import load

        return load(request)

    def models(self) -> Path:
        return Path(__file__).parent / "models"


def _months(first: str, last: date) -> list[str]:
    year, month = map(int, first.split("-"))
    months = []
    while (year, month) <= (last.year, last.month):
        months.append(f"{year}-{month:02}")
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return months
