"""DuckDB attaches a catalog and reads all tables of the sample there, on each kind of catalog."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest
from fakes.iceberg_catalog import AT_ONCE, IN_ORDER, IcebergCatalog
from fakes.iceberg_readers import Readers
from fakes.iceberg_runs import Machine
from fakes.published_sample import MONTHS, as_of_query, publish_sample, sums
from fakes.s3 import S3Server
from fakes.workshop import Workshop


@pytest.fixture(params=[AT_ONCE, IN_ORDER, "apache"])
def kind(request: pytest.FixtureRequest) -> str:
    """Apache's catalog, with the gate of the fake one, has multi-table commits."""
    return AT_ONCE if request.param == "apache" else str(request.param)


@pytest.fixture
def readers(s3_server: S3Server, catalog: IcebergCatalog) -> Iterator[Readers]:
    found = Readers(s3_server, catalog.uri)
    yield found
    found.close()


@pytest.mark.usefixtures("kind")
def test_duckdb_reads_all_tables_and_each_release_from_the_attached_catalog(
    sample_run: Workshop, machine: Machine, readers: Readers
) -> None:
    tables = publish_sample(sample_run, machine)
    database = sample_run.directory / "materia.duckdb"
    with duckdb.connect(str(database), read_only=True) as connection:
        for table in tables:
            chosen, expected = sums(connection, table)
            assert readers.execute(f"{chosen} FROM ice.{table}") == [[expected]], table
        for month in MONTHS:
            release = connection.execute(f"FROM as_of('{month}')").fetchall()
            found = readers.execute(as_of_query(month, "ice"))
            assert len(found) > 100
            assert found == sorted([str(one) for one in row] for row in release), month

    assert len(tables) >= 27
