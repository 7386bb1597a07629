from __future__ import annotations

from collections.abc import Iterator

import pytest
from fakes.snapshot_world import WeeklyServer, weekly_server
from fakes.stocks import source as stocks
from materia.hookspecs import Opening
from materia.protocols import Source
from materia_http.download import Patience
from materia_snapshots.settings import read_settings
from materia_snapshots.source import SnapshotSource
from materia_testing.contracts.opened import Declared
from materia_testing.contracts.source import SourceContract


@pytest.mark.campaign  # tests/sources/test_ecb_contract.py runs the same library each time
class TestStocks(SourceContract):
    module = "fakes.stocks"
    plugin = "stocks"

    @pytest.fixture
    def world(self) -> Iterator[WeeklyServer]:
        with weekly_server() as world:
            yield world

    @pytest.fixture
    def source(self, declared: Declared) -> Source:
        """Opened as the user's is, but for how long it waits for a server that fails."""
        opening = Opening(secrets={}, settings=declared.settings, directory=declared.directory)
        return SnapshotSource(stocks, read_settings(stocks, opening), Patience(first_wait=0.02))
