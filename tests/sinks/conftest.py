from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import iceberg_runs
from fakes.duckdb_runs import open_in
from fakes.iceberg_catalog import AT_ONCE, IN_ORDER, IcebergCatalog
from fakes.odd_store import OddStore
from fakes.s3 import S3Server
from fakes.s3_runs import Machine, machines
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


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    """The name of a new bucket in that store."""
    return s3_server.new_bucket()


@pytest.fixture
def on(s3_server: S3Server, bucket: str, tmp_path: Path) -> Machine:
    """Sinks of that bucket, each on a machine of its own: `on("laptop")`."""
    return machines(s3_server, bucket, tmp_path)


@pytest.fixture
def store() -> Iterator[OddStore]:
    """A store of our own, with no habits yet; any name is a bucket in it."""
    store = OddStore()
    yield store
    store.close()


@pytest.fixture
def at(store: OddStore, tmp_path: Path) -> Machine:
    """Sinks in that store, each on a machine of its own: `at("laptop")`."""
    return machines(store, "acme", tmp_path)


@pytest.fixture(params=[AT_ONCE, IN_ORDER])
def kind(request: pytest.FixtureRequest) -> str:
    """A test that asks for it meets both kinds of catalog."""
    return str(request.param)


@pytest.fixture
def catalog(
    request: pytest.FixtureRequest, s3_server: S3Server, bucket: str
) -> Iterator[IcebergCatalog]:
    """A catalog of our own; a class that says `several`, or the fixture `kind`, tells of which."""
    several = getattr(request.cls, "several", True)
    if "kind" in request.fixturenames:
        several = request.getfixturevalue("kind") == AT_ONCE
    catalog = IcebergCatalog(s3_server, bucket, several=several)
    yield catalog
    catalog.close()


@pytest.fixture
def reader(s3_server: S3Server, catalog: IcebergCatalog) -> iceberg_runs.Reader:
    """What a reader of that catalog finds."""
    return iceberg_runs.reader_of(s3_server, catalog)


@pytest.fixture
def machine(
    s3_server: S3Server, bucket: str, catalog: IcebergCatalog, tmp_path: Path
) -> iceberg_runs.Machine:
    """Iceberg sinks of that catalog, each on a machine of its own: `machine("laptop")`."""
    settings = iceberg_runs.settings_of(s3_server, bucket, catalog.uri)
    return iceberg_runs.machines(settings, tmp_path)
