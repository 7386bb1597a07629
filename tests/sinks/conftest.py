from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# One sink's tests run where the other is not installed.
if TYPE_CHECKING:
    from fakes.odd_store import OddStore
    from fakes.s3 import S3Server
    from fakes.s3_runs import Machine
    from materia_duckdb.sink import DuckDBSink


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a duckdb sink keeps all it has; nothing is there yet."""
    return tmp_path / "project"


@pytest.fixture
def sink(folder: Path) -> DuckDBSink:
    """A duckdb sink in that folder."""
    from fakes.duckdb_runs import open_in

    return open_in(folder)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One store for all tests of a process; each makes its own bucket in it."""
    from fakes.s3 import S3Server

    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    """The name of a new bucket in that store."""
    return s3_server.new_bucket()


@pytest.fixture
def on(s3_server: S3Server, bucket: str, tmp_path: Path) -> Machine:
    """Sinks of that bucket, each on a machine of its own: `on("laptop")`."""
    from fakes.s3_runs import machines

    return machines(s3_server, bucket, tmp_path)


@pytest.fixture
def store() -> Iterator[OddStore]:
    """A store of our own, with no habits yet; any name is a bucket in it."""
    from fakes.odd_store import OddStore

    store = OddStore()
    yield store
    store.close()


@pytest.fixture
def at(store: OddStore, tmp_path: Path) -> Machine:
    """Sinks in that store, each on a machine of its own: `at("laptop")`."""
    from fakes.s3_runs import machines

    return machines(store, "acme", tmp_path)


@pytest.hookimpl(tryfirst=True)  # before the markers are looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave kills at an odd store to the campaigns: they take minutes; a plain store has them."""
    for item in items:
        if item.path.name == "test_s3_odd_contract.py" and item.name.startswith("test_killed"):
            item.add_marker(pytest.mark.campaign)
