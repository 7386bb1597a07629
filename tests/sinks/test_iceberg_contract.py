"""Contract tests of the sink iceberg, with and without multi-table commits of the catalog."""

from collections.abc import Mapping

import pytest
from fakes.iceberg_catalog import IcebergCatalog
from fakes.iceberg_runs import SECRETS, Reader, settings_of
from fakes.s3 import S3Server
from materia.protocols import Sink
from materia_testing.contracts.sink import SinkContract
from materia_testing.contracts.sinks.care import Stored
from materia_testing.contracts.sinks.publish import TABLES, Reading


class OfIceberg:
    """The contract for both kinds of catalog."""

    module = (
        "fakes.iceberg_quick"  # materia_iceberg without the wait between two writes to one name
    )
    package = "materia_iceberg materia_store.bucket"
    plugin = "iceberg"

    @pytest.fixture
    def settings(
        self, s3_server: S3Server, bucket: str, catalog: IcebergCatalog
    ) -> Mapping[str, object]:
        return settings_of(s3_server, bucket, catalog.uri)

    @pytest.fixture
    def secrets(self) -> Mapping[str, str]:
        return SECRETS

    @pytest.fixture
    def reading(self, catalog: IcebergCatalog, reader: Reader) -> Reading:
        def read(_: Sink) -> tuple[int, int] | None:
            if ("publication", "run") not in catalog.tables:
                return None
            versions = reader.published()
            if not versions:
                return None
            prices, totals = (
                reader.rows(name, sql, versions[name])
                for name, sql in zip(TABLES, ("SELECT count(*) FROM it", "FROM it"), strict=True)
            )
            return prices[0][0], totals[0][0]

        return read

    @pytest.fixture
    def stored(self, s3_server: S3Server, bucket: str) -> Stored:
        return lambda: s3_server.contents(bucket)


class TestSeveralTablesInOneCommit(OfIceberg, SinkContract):
    several = True


class TestOneTableAfterAnother(OfIceberg, SinkContract):
    several = False
