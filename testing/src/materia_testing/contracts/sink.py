"""The promises of a sink, as tests that any sink's package can run.

    from materia_testing.contracts.sink import SinkContract

    class TestAcmeSink(SinkContract):
        module = "materia_acme"     # the module of the entry point
        plugin = "acme"             # the name that a user types

That is all when the sink keeps everything under the directory it is opened with. One that talks to
a service overrides the fixtures `settings` and `secrets` with what leads to a stand-in for it, and
`reading` when its published tables are not in a DuckDB file.

Many tests run the sink in a process of its own and kill that: before each line of the plugin's own
code in turn, and after a while, when the time is spent inside other code. That code is `module`; or
`package`, when `module` only opens it in another way, for the test, or when the plugin stands on a
kit that does its work: `package = "materia_acme acme_kit"`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from materia.protocols import Sink

from materia_testing.contracts.opened import Declared
from materia_testing.contracts.sink_publish import PublishContract
from materia_testing.contracts.sink_raw import RawFilesContract


class SinkContract(RawFilesContract, PublishContract):
    """Everything a sink promises."""

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
        """The plugin, with what to open it with: a new directory for each test."""
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
