"""Sink contract: test every promise of a sink plugin.

    from materia_testing.contracts.sink import SinkContract

    class TestAcmeSink(SinkContract):
        module = "materia_acme"     # the module of the entry point
        plugin = "acme"             # the name that a user types

That is enough for a sink that keeps everything in the directory it is opened with. A sink that uses
a service overrides the fixtures `settings` and `secrets` to reach a fake of the service, `stored`
to read all files in it, and `reading` if its published tables are not in a DuckDB file.

Many tests run the sink in a separate process and kill it: before each line of the plugin's own
code, and after a while, when other code is running. The plugin's own code is `module`, or `package`
if `module` only opens the plugin in another way for the test, or if a kit does the plugin's work:
`package = "materia_acme acme_kit"`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from materia.protocols import Sink

from materia_testing.contracts.opened import Declared
from materia_testing.contracts.sinks.care import CareContract
from materia_testing.contracts.sinks.publish import PublishContract
from materia_testing.contracts.sinks.raw import RawFilesContract
from materia_testing.contracts.sinks.raw_faults import RawFaultsContract


class SinkContract(RawFilesContract, RawFaultsContract, PublishContract, CareContract):
    """Every promise of a sink; subclass it and set `module` and `plugin`."""

    module: str
    package: str = ""
    plugin: str

    @pytest.fixture
    def settings(self) -> Mapping[str, object]:
        """Settings that differ from their defaults."""
        return {}

    @pytest.fixture
    def secrets(self) -> Mapping[str, str]:
        """A value for every variable that the plugin declares."""
        return {}

    @pytest.fixture
    def declared(
        self, tmp_path: Path, settings: Mapping[str, object], secrets: Mapping[str, str]
    ) -> Declared:
        """The plugin with its settings and secrets, and a new directory for each test."""
        directory = tmp_path / "project"
        directory.mkdir()
        return Declared(
            kind="sink",
            module=self.module,
            name=self.plugin,
            directory=directory,
            settings=settings,
            secrets=secrets,
        )

    @pytest.fixture
    def sink(self, declared: Declared) -> Sink:
        """The sink, newly opened."""
        sink: Sink = declared.open()
        return sink
