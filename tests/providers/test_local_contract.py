"""The local provider keeps the promises of every provider; its far end is the file system."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.failing_folder import failing_folder
from materia.compute import Requirements
from materia.protocols import Provider
from materia_local.provider import Local
from materia_testing.contracts.provider import ProviderContract, World


class TestLocal(ProviderContract):
    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[World]:
        with failing_folder(tmp_path / "workers") as folder:
            yield folder

    @pytest.fixture
    def open_provider(self, tmp_path: Path) -> Callable[[], Provider]:
        return lambda: Local(tmp_path / "workers")

    @pytest.fixture
    def needs(self) -> Requirements:
        return Requirements(
            vcpus=1, memory_gib=Decimal(1), disk_gib=1, expected=timedelta(minutes=1)
        )
