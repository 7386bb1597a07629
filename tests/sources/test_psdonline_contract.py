from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from fakes.psd_world import PsdWorld
from fakes.usda import UsdaServer
from materia.protocols import Source
from materia_http.download import Patience
from materia_psdonline.settings import read_settings
from materia_psdonline.source import PsdOnline
from materia_testing.contracts.opened import Declared
from materia_testing.contracts.source import SourceContract


class TestPsdOnline(SourceContract):
    module = "materia_psdonline"
    plugin = "psdonline"

    @pytest.fixture
    def world(self) -> Iterator[PsdWorld]:
        with UsdaServer() as usda:
            yield PsdWorld(usda)

    @pytest.fixture
    def source(self, declared: Declared) -> Source:
        """Opened as the user's is, but for how long it waits for a server that fails."""
        plugin = declared.plugin()
        settings: Mapping[str, object] = {
            **{setting.name: setting.default for setting in plugin.settings},
            **declared.settings,
        }
        return PsdOnline(
            read_settings(settings, directory=declared.directory), Patience(first_wait=0.02)
        )
