from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

# One sink's tests run where the other is not installed.
if TYPE_CHECKING:
    from fakes import iceberg_runs
    from fakes.iceberg_catalog import IcebergCatalog
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


@pytest.fixture(params=["at once", "in order"])
def kind(request: pytest.FixtureRequest) -> str:
    """A test that uses it runs with both kinds of catalog."""
    return str(request.param)


@pytest.fixture
def catalog(
    request: pytest.FixtureRequest, s3_server: S3Server, bucket: str, tmp_path: Path
) -> Iterator[IcebergCatalog]:
    """A catalog; the class attribute `several`, or the fixture `kind`, sets its kind."""
    from fakes.iceberg_catalog import AT_ONCE, IcebergCatalog

    several = getattr(request.cls, "several", True)
    if "kind" in request.fixturenames:
        several = request.getfixturevalue("kind") == AT_ONCE
    if "apache" in request.node.name:
        from fakes.apache_catalog import GatedApache

        catalog: IcebergCatalog = GatedApache(s3_server, bucket, tmp_path / "apache")
    else:
        catalog = IcebergCatalog(s3_server, bucket, several=several)
    yield catalog
    catalog.close()


@pytest.fixture
def reader(s3_server: S3Server, catalog: IcebergCatalog) -> iceberg_runs.Reader:
    """What a reader of that catalog finds."""
    from fakes import iceberg_runs

    return iceberg_runs.reader_of(s3_server, catalog)


@pytest.fixture
def machine(
    s3_server: S3Server, bucket: str, catalog: IcebergCatalog, tmp_path: Path
) -> iceberg_runs.Machine:
    """Iceberg sinks of that catalog, each on a machine of its own: `machine("laptop")`."""
    from fakes import iceberg_runs

    settings = iceberg_runs.settings_of(s3_server, bucket, catalog.uri)
    return iceberg_runs.machines(settings, tmp_path)


def takes_minutes(file: str, of: str, name: str) -> bool:
    """Whether a test, *of* a class or file, repeats at length what another one always shows."""
    kills = name.startswith("test_killed")
    if (
        "apache" in name.partition("[")[2]
    ):  # the real catalog answers as the fake one does: one test shows it
        return not name.startswith("test_a_rollback_gives_readers")
    match file:
        # test_s3_kills.py kills at each request, test_duckdb_contract.py at each line
        case "test_s3_odd_contract.py" | "test_s3_contract.py":
            return kills
        case "test_iceberg_contract.py":  # test_iceberg_kills.py has one, s3 those of raw files
            long = name.startswith(("test_readers_see_one_state", "test_a_full_disk"))
            return kills or (long and "OneTable" in of)
        case "test_iceberg_attached.py" | "test_iceberg_kills.py":
            quick = "[at once]" if file == "test_iceberg_attached.py" else "[at once-the first run]"
            return quick not in name
        case _:
            return False


@pytest.hookimpl(tryfirst=True)  # before the markers are looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what takes minutes to the campaigns."""
    for item in items:
        if takes_minutes(item.path.name, getattr(item.parent, "name", ""), item.name):
            item.add_marker(pytest.mark.campaign)


class Skipped(pytest.Module):
    """A test module whose sink, or the reader of its tables, is not installed."""

    def collect(self) -> NoReturn:
        pytest.skip("materia-iceberg or pyiceberg is missing: uv sync --inexact --group iceberg")


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> Skipped | None:
    """Skip the tests of the sink `iceberg` without the group of that name."""
    needed = ("materia_iceberg", "pyiceberg")
    if module_path.name.startswith("test_iceberg_") and not all(map(find_spec, needed)):
        return Skipped.from_parent(parent, path=module_path)
    return None
