from __future__ import annotations

from collections.abc import Iterator

import pytest
from fakes.ecb import EcbServer, ecb_server
from materia.hookspecs import Opening
from materia.protocols import Source
from materia_ecb import source as ecb
from materia_http.download import Patience
from materia_snapshots.settings import read_settings
from materia_snapshots.source import SnapshotSource
from materia_testing.contracts.opened import Declared
from materia_testing.contracts.source import SourceContract


class TestEcb(SourceContract):
    module = "materia_ecb"
    plugin = "ecb"

    @pytest.fixture
    def world(self) -> Iterator[EcbServer]:
        with ecb_server() as world:
            yield world

    @pytest.fixture
    def source(self, declared: Declared) -> Source:
        """Opened as the user's is, but for how long it waits for a server that fails."""
        opening = Opening(secrets={}, settings=declared.settings, directory=declared.directory)
        return SnapshotSource(ecb, read_settings(ecb, opening), Patience(first_wait=0.02))
