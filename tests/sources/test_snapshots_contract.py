from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from fakes.monthly_api import answer
from fakes.snapshot_world import WeeklyServer, weekly_server
from fakes.stocks import source as stocks
from materia.hookspecs import Opening
from materia.protocols import Source
from materia_http.download import Patience
from materia_snapshots.settings import read_settings
from materia_snapshots.source import SnapshotSource
from materia_testing.contracts.opened import Declared
from materia_testing.contracts.source import SourceContract
from materia_testing.contracts.sources.served import ServedFiles, served_files


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


@pytest.mark.campaign
class TestMonthlyApi(SourceContract):
    module = "fakes.monthly_api"
    plugin = "orders"

    @pytest.fixture
    def world(self) -> Iterator[ServedFiles]:
        days = {"2026-01": "01-01&last=2026-01-31", "2026-02": "02-01&last=2026-02-28"}
        days["2026-03"] = "03-01&last=2026-03-31"
        with served_files(
            {month: f"orders?page=1&first=2026-{rest}" for month, rest in days.items()},
            now=datetime(2026, 3, 20, tzinfo=UTC),
            editions=(answer(1, 2.5), answer(3, 4, 5)),
            damaged={"letters": (answer("cheap"), "total")},
            table="raw.orders_row",
            rows=tuple(
                [
                    {"number": str(number), "total": f"{total:.2f}"}
                    for number, total in enumerate(totals)
                ]
                for totals in ((1, 2.5), (3, 4, 5))
            ),
            lacks={"validators": "the API gives no ETag"},
        ) as world:
            yield world
