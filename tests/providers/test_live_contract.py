"""The contract on real accounts: `pytest --live tests/providers/test_live_contract.py`.

It rents some twenty small machines of each provider whose credentials are set, one after another,
and destroys them. At a provider that bills by the hour each costs an hour.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from materia.errors import MissingSecretError
from materia.plugins import load_plugins, open_plugin
from materia.protocols import Provider
from materia_runner.config.load import load_config
from materia_testing.contracts.live import LiveWorld
from materia_testing.contracts.provider import ProviderContract

REGISTRY = load_plugins()
RENTED = [one for one in REGISTRY.of_kind("provider") if one.plugin.rents]


@pytest.mark.live
@pytest.mark.parametrize("provider_name", [found.plugin.name for found in RENTED], scope="class")
class TestLive(ProviderContract):
    @pytest.fixture
    def open_provider(self, provider_name: str) -> Callable[[], Provider]:
        found = REGISTRY.provider(provider_name)
        pipeline = load_config(REGISTRY, path=None, start=Path.cwd())
        settings = pipeline.settings["provider", provider_name]

        def opened() -> Provider:
            return open_plugin(found, os.environ, settings=settings, directory=Path.cwd())

        try:
            opened()
        except MissingSecretError as error:
            pytest.skip(str(error))
        return opened

    @pytest.fixture
    def world(self, open_provider: Callable[[], Provider]) -> LiveWorld:
        return LiveWorld(open_provider)
