"""Two sources in one module of their own, which can be packed for a worker; their months are equal.

Each needs a secret, and writes what it got of it into its table: whether it is the right one. A
twin whose secret is BROKEN cannot be fetched, one with SLOW takes some minutes, and one with FAULTY
ends its worker.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from materia import Opening, Plugin, Source, hookimpl
from materia.data import (
    Fetched,
    FetchRequest,
    FetchResult,
    LoadReport,
    LoadRequest,
    Partition,
    PartitionsRequest,
    RawFile,
    Unchanged,
)
from materia.errors import SourceError

NAMES = ("ones", "twos")
CONFIG = """from pathlib import Path

from materia_sqlmesh.project import project_config, source_project

folder = Path(__file__).parent
config = project_config(folder, beside=source_project(folder))
"""
MODEL = """MODEL (
  name serving.both,
  kind FULL,
  description 'What both sources say.',
  columns (said TEXT)
);

SELECT said FROM raw.ones
UNION ALL
SELECT said FROM raw.twos
"""
SECRETS = {"ONES_TOKEN": "halibut-one", "TWOS_TOKEN": "halibut-two"}
BROKEN, SLOW, FAULTY = "broken-server", "slow-server", "faulty-code"
KEY, FILE = "2024-01", "month.txt"


class Twin:
    def __init__(self, name: str, secret: str) -> None:
        self._name = name
        self._secret = secret
        self._content = f"{name} {secret}".encode()

    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        return [Partition(key=KEY, url=f"https://{self._name}.example/{KEY}", file=FILE)]

    def fetch(self, request: FetchRequest, /) -> FetchResult:
        if self._secret == BROKEN:
            raise SourceError(f"{request.partition.url}: the server answers 503")
        if self._secret == FAULTY:
            os._exit(3)  # as a fault in a library in C does
        if self._secret == SLOW:
            time.sleep(150)
        sha256 = hashlib.sha256(self._content).hexdigest()
        if request.known is not None and request.known.etag == sha256:
            return Unchanged(etag=sha256, last_modified=None)
        path = request.directory / FILE
        path.write_bytes(self._content)
        raw = RawFile(
            partition=KEY,
            file=FILE,
            url=request.partition.url,
            sha256=sha256,
            content=sha256,
            size=len(self._content),
            etag=sha256,
            last_modified=None,
            fetched_at=datetime.now(UTC),
        )
        return Fetched(raw=raw, path=path)

    def load(self, request: LoadRequest, /) -> LoadReport:
        import duckdb

        (raw,) = request.files
        path = request.find(raw.partition, raw.file, raw.sha256)
        assert path is not None
        with duckdb.connect(str(request.database)) as connection:
            connection.execute("CREATE SCHEMA IF NOT EXISTS raw")
            connection.execute(f"CREATE OR REPLACE TABLE raw.{self._name} (said TEXT)")
            connection.execute(f"INSERT INTO raw.{self._name} VALUES (?)", [path.read_text()])
        return LoadReport(loaded=(KEY,), affected=(date(2024, 1, 1),))

    def models(self) -> Path | None:
        return None


def opened(name: str, opening: Opening) -> Source:
    return Twin(name, opening.secrets[f"{name.upper()}_TOKEN"])


@hookimpl
def materia_sources() -> list[Plugin[Source]]:
    return [
        Plugin(
            name=name,
            summary=f"the source {name}",
            open=lambda opening, name=name: opened(name, opening),  # type: ignore[misc]  # bound
            secrets=(f"{name.upper()}_TOKEN",),
        )
        for name in NAMES
    ]
