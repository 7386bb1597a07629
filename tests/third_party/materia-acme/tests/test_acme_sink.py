"""The promises of a sink, each a test: see docs/plugins.md."""

from pathlib import Path

import duckdb
import pytest
from materia import Sink
from materia_testing.contracts.opened import Declared
from materia_testing.contracts.sink import SinkContract
from materia_testing.contracts.sinks.publish import Reading


class TestAcmeSink(SinkContract):
    module = "materia_acme"
    package = "materia_acme materia_store.folder"
    plugin = "acme"

    @pytest.fixture
    def reading(self, declared: Declared) -> Reading:
        """How a reader of the published files counts rows; None before there are any."""

        def read(_: Sink) -> tuple[int, int] | None:
            current = declared.directory / "acme/current"
            return _rows(current.resolve()) if current.exists() else None

        return read


def _rows(run: Path) -> tuple[int, int]:
    """The rows of two files of one run: `current` is resolved once."""
    count = f"SELECT count(*) FROM '{run}/serving/prices.parquet'"
    total = f"SELECT n FROM '{run}/serving/totals.parquet'"
    found = duckdb.sql(f"SELECT ({count}), ({total})").fetchall()
    return found[0][0], found[0][1]
