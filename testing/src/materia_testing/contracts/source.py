"""Source contract: test every promise of a source plugin.

    from materia_testing.contracts.source import SourceContract, World

    class TestAcmePrices(SourceContract):
        module = "materia_acme"     # the module of the entry point
        plugin = "acme"             # the name that a user types

        @pytest.fixture
        def world(self, tmp_path: Path) -> Iterator[World]:
            with AcmeOnThisMachine(tmp_path) as world:      # your fake of the real server
                yield world

The world is the server or folder that the source reads, as the tests see it. `World` lists its
methods. The tests never depend on the source's tables: they compare a database that went through
many states with one that was loaded at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from materia.protocols import Source

from materia_testing.contracts.opened import Declared
from materia_testing.contracts.sources.care import CareContract
from materia_testing.contracts.sources.fetch import FetchContract
from materia_testing.contracts.sources.load import LoadContract
from materia_testing.contracts.sources.world import World

__all__ = ["SourceContract", "World"]


class SourceContract(FetchContract, LoadContract, CareContract):
    """Every promise of a source; subclass it and give it the fixture `world`."""

    module: str
    plugin: str

    @pytest.fixture
    def world(self) -> World:
        """The server or folder that the source reads; a fixture of the source's own test class."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture called world")

    @pytest.fixture
    def secrets(self) -> Mapping[str, str]:
        """A value for every variable that the plugin declares."""
        return {}

    @pytest.fixture
    def declared(self, tmp_path: Path, world: World, secrets: Mapping[str, str]) -> Declared:
        """The plugin with its settings and secrets."""
        directory = tmp_path / "project"
        directory.mkdir()
        return Declared(
            kind="source",
            module=self.module,
            name=self.plugin,
            directory=directory,
            settings=world.settings,
            secrets=secrets,
        )

    @pytest.fixture
    def source(self, declared: Declared) -> Source:
        """The source, newly opened."""
        source: Source = declared.open()
        return source
