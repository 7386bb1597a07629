"""A source that reads `2024-01.csv` and the like; what a file says first decides what happens.

`#refuse WHY`, `#fail WHY`, `#absent`, `#hang`, `#crash`, `#die` act when it is fetched,
`#load-hang` and `#load-refuse WHY` when it is loaded. `#remark WHAT` and `#load-remark WHAT` are
said of a file that is used. Anything else is a good file of `name,value` lines.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from materia.data import (
    Absent,
    Fetched,
    FetchRequest,
    FetchResult,
    Known,
    LoadReport,
    LoadRequest,
    Partition,
    PartitionsRequest,
    RawFile,
    Refused,
    Unchanged,
)
from materia.errors import SourceError

MODELS = Path(__file__).parent / "folder_models"


class FolderSource:
    """Every CSV file of a folder is a partition, named by its month."""

    def __init__(self, folder: Path, *, table: str = "lines", models: Path = MODELS) -> None:
        self._folder = folder
        self._table = table
        self._own_models = models

    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        return [
            Partition(key=path.stem, url=path.as_uri(), file="lines.csv")
            for path in sorted(self._folder.glob("*.csv"))
            if not (known := request.known.get(path.stem)) or not known.absent or request.everything
        ]

    def fetch(self, request: FetchRequest, /) -> FetchResult:
        content = (self._folder / f"{request.partition.key}.csv").read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if _has(request.known, digest):
            return Unchanged(etag=digest, last_modified=None, sha256=digest)
        request.received(len(content))
        word, _, rest = content.decode().partition("\n")[0].partition(" ")
        match word:
            case "#refuse":
                return Refused(
                    reason=rest, etag=digest, last_modified=None, path=None, sha256=digest
                )
            case "#fail":
                raise SourceError(rest)
            case "#absent":
                return Absent()
            case "#hang":
                self._hang("fetch")
            case "#crash":
                raise KeyError(rest)
            case "#die":
                print("last words")  # noqa: T201 -- a library that prints where it should not
                os.kill(os.getpid(), signal.SIGKILL)
        path = request.directory / request.partition.file
        path.write_bytes(content)
        raw = RawFile(
            partition=request.partition.key,
            file=request.partition.file,
            url=request.partition.url,
            sha256=digest,
            content=digest,
            size=len(content),
            etag=digest,
            last_modified=None,
            fetched_at=datetime.now(UTC),
        )
        return Fetched(raw=raw, path=path, remarks=(rest,) if word == "#remark" else ())

    def load(self, request: LoadRequest, /) -> LoadReport:
        import duckdb

        refused = {}
        remarks = {}
        loaded = []
        with duckdb.connect(str(request.database)) as connection:
            connection.execute("create schema if not exists raw")
            connection.execute(
                f"create table if not exists raw.{self._table} "
                "(month date, name text, value integer)"
            )
            before = connection.execute(
                f"select distinct strftime(month, '%Y-%m') from raw.{self._table}"
            )
            there = {str(key) for (key,) in before.fetchall()}
            connection.execute(
                f"create or replace table raw.{self._table} (month date, name text, value integer)"
            )
            for left, raw in reversed(list(enumerate(reversed(request.files)))):
                lines = self._lines(request.find, raw)
                word, _, rest = lines[0].partition(" ")
                if word == "#load-hang":
                    self._hang("load")
                if word == "#load-refuse":
                    refused[raw.partition] = rest
                else:
                    if word == "#load-remark":
                        remarks[raw.partition] = (rest,)
                    month = date.fromisoformat(f"{raw.partition}-01")
                    for line in lines[word.startswith("#") :]:
                        name, value = line.split(",")
                        connection.execute(
                            f"insert into raw.{self._table} values (?, ?, ?)",
                            [month, name, int(value)],
                        )
                    loaded.append(raw.partition)
                request.loaded(raw.partition, left)
        affected = self._different(request)
        removed = tuple(sorted(there - {raw.partition for raw in request.files}))
        return LoadReport(
            loaded=tuple(loaded),
            removed=removed,
            affected=affected,
            refused=refused,
            remarks=remarks,
        )

    def _different(self, request: LoadRequest) -> tuple[date, ...]:
        """The months whose rows are not those that were published."""
        import duckdb

        def rows(database: Path | None) -> set[tuple[date, str, int]]:
            if database is None:
                return set()
            with duckdb.connect(str(database), read_only=True) as connection:
                return set(connection.execute(f"from raw.{self._table}").fetchall())

        return tuple(sorted({row[0] for row in rows(request.database) ^ rows(request.published)}))

    def models(self) -> Path | None:
        return self._own_models if self._own_models.is_dir() else None

    def _hang(self, where: str) -> None:
        (self._folder / f"hanging-in-{where}").write_text(str(os.getpid()))
        time.sleep(3600)

    def _lines(self, find: Callable[[str, str, str], Path | None], raw: RawFile) -> list[str]:
        path = find(raw.partition, raw.file, raw.sha256)
        if path is None:
            raise SourceError(f"the raw file of {raw.partition} is lost")
        return path.read_text().splitlines()


def _has(known: Known | None, digest: str) -> bool:
    """Whether the sink has these bytes as the newest."""
    if known is None or known.refused is not None:
        return known is not None and known.refused_sha256 == digest
    return known.raw is not None and known.raw.sha256 == digest
