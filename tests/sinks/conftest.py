from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.duckdb_runs import open_in
from fakes.s3 import S3Server
from materia_duckdb.sink import DuckDBSink


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a duckdb sink keeps all it has; nothing is there yet."""
    return tmp_path / "project"


@pytest.fixture
def sink(folder: Path) -> DuckDBSink:
    """A duckdb sink in that folder."""
    return open_in(folder)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One store for all tests of a process; each makes its own bucket in it."""
    server = S3Server()
    yield server
    server.close()
