"""The promises of a source, as tests that any source's package can run.

    from materia_testing.contracts.source import SourceContract, World

    class TestAcmePrices(SourceContract):
        module = "materia_acme"     # the module of the entry point
        plugin = "acme"             # the name that a user types

        @pytest.fixture
        def world(self, tmp_path: Path) -> Iterator[World]:
            with AcmeOnThisMachine(tmp_path) as world:      # your stand-in for the real place
                yield world

The world is the far end: the place that is read from, as the tests see it. `World` says what it has
to be able to do. The tests never look at how the source keeps its rows: they compare a database
that was brought through many states with one that was loaded at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from materia.protocols import Source

from materia_testing.contracts.opened import Declared
from materia_testing.contracts.sources.fetch import FetchContract
from materia_testing.contracts.sources.load import LoadContract
from materia_testing.contracts.sources.world import World

__all__ = ["SourceContract", "World"]


class SourceContract(FetchContract, LoadContract):
    """Everything a source promises."""

    module: str
    plugin: str

    @pytest.fixture
    def world(self) -> World:
        """The far end; every source's own test class has to make it."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture called world")

    @pytest.fixture
    def secrets(self) -> Mapping[str, str]:
        """A value for every variable that the plugin declares."""
        return {}

    @pytest.fixture
    def declared(self, tmp_path: Path, world: World, secrets: Mapping[str, str]) -> Declared:
        """The plugin, with what to open it with."""
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
