"""A plugin that does not keep to its protocol is reported when it is opened."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.folder_sink import FolderSink
from fakes.folder_source import FolderSource
from fakes.rented import Rented
from fakes.workshop import Workshop
from materia import Plugin
from materia.compute import Instance
from materia.errors import PluginError
from materia.plugins import InstalledPlugin, Kind
from materia_runner import opening
from materia_runner.opening import faults_of, open_plugin
from materia_testing.emulation.ssh_machines import sandbox


class Forgetful(FolderSource):
    """Another version's methods: one is missing, one has a new name, two take other arguments."""

    models = None  # type: ignore[assignment]

    def fetch(self, request: Any, known: Any, /) -> Any:  # type: ignore[override]
        raise AssertionError("never called")

    async def load(self, request: Any, /) -> Any:  # type: ignore[override]
        raise AssertionError("never called")


class OldProvider:
    def offers(self, requirements: Any) -> list[Any]:
        return []

    def create_instance(self, request: Any) -> Any: ...

    def list_instances(self, *, run: str) -> list[Any]:
        return []

    def wait_for_ssh(self, instance: Instance, timeout_seconds: float) -> Instance:
        return instance

    def destroy_instance(self, instance: Instance, **more: object) -> None: ...

    def clock(self, zone: str) -> None: ...


def installed(kind: Kind, open_it: Callable[[Any], Any]) -> InstalledPlugin[Any]:
    plugin = Plugin(name="acme", summary="for tests", open=open_it)
    return InstalledPlugin(
        kind=kind, plugin=plugin, module="acme", distribution="materia-acme", version="2.0"
    )


def test_every_method_that_is_missing_or_takes_other_arguments_is_named_at_once() -> None:
    found = installed("source", lambda _: Forgetful(Path()))

    with pytest.raises(PluginError) as raised:
        open_plugin(found, {}, settings={}, directory=Path())

    said = str(raised.value)
    assert said.startswith("the source 'acme' of materia-acme 2.0 cannot be used: ")
    assert "it has no method models()" in said
    assert "fetch(request, known, /) does not take fetch(request)" in said
    assert "load is async" in said
    assert "partitions" not in said
    assert "docs/plugins.md" in said


def test_what_can_be_called_as_the_protocol_says_is_right_under_any_names() -> None:
    class Wide(FolderSource):
        def fetch(self, *anything: Any, **more: Any) -> Any:
            raise AssertionError("never called")

    assert list(faults_of(Wide(Path()), "source")) == []
    assert list(faults_of(FolderSink(Path("nowhere")), "sink")) == []


def test_a_provider_of_another_version_and_a_class_in_place_of_an_object_are_refused() -> None:
    faults = list(faults_of(OldProvider(), "provider"))

    assert [fault.partition("(")[0] for fault in faults] == [
        "list_instances",
        "wait_for_ssh",
        "clock",
    ]
    assert "does not take wait_for_ssh(instance, timeout=...)" in faults[1]
    assert list(faults_of(FolderSource, "source")) == [
        "open returned the class FolderSource, not an object of it"
    ]
    assert len(list(faults_of(None, "source"))) == 4


def test_a_plugin_that_is_slow_to_open_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def busy(_: object) -> FolderSource:
        ends = time.thread_time() + 0.02
        while time.thread_time() < ends:
            pass
        return FolderSource(Path())

    monkeypatch.setattr(opening, "SLOW_SECONDS", 0.01)
    with caplog.at_level(logging.WARNING, "materia.plugins"):
        open_plugin(installed("source", busy), {}, settings={}, directory=Path())

    assert "the source 'acme' took" in caplog.text
    assert "materia-acme 2.0 imports or does too much there" in caplog.text


WRONG = """
from dataclasses import replace
from fakes import folder
from materia import hookimpl


class NoModels:
    def __init__(self, right):
        self.partitions, self.fetch, self.load = right.partitions, right.fetch, right.load


@hookimpl
def materia_sources():
    (right,) = folder.materia_sources()
    return [replace(right, name="half", open=lambda opening: NoModels(right.open(opening)))]
"""


@pytest.mark.skipif(bool(sandbox.why_not()), reason=str(sandbox.why_not()))
def test_nothing_is_rented_for_a_source_that_lacks_a_method(
    workshop: Workshop, tmp_path: Path
) -> None:
    workshop.install("folder", "fakes.folder")
    workshop.module("half_a_source", WRONG)
    workshop.install("half", "half_a_source")
    with Rented(workshop, ("hetzner",), cache=tmp_path, pipeline='source = "half"\n') as rented:
        ended = rented.run("run", "--provider", "hetzner", "--yes")

        assert ended.returncode == PluginError("").exit_code, ended.stderr
        assert "the source 'half' of materia-half 1.2 cannot be used" in ended.stderr
        assert "it has no method models()" in ended.stderr
        assert rented.clouds["hetzner"].billed() == {}


def test_here_it_is_refused_before_anything_is_fetched(workshop: Workshop) -> None:
    workshop.install("folder", "fakes.folder")
    workshop.module("half_a_source", WRONG)
    workshop.install("half", "half_a_source")
    workshop.write("materia.toml", 'source = "half"\nsink = "folder"\n')
    workshop.write("in/2024-01.csv", "apples,1\n")

    ended = workshop.run("run", "--provider", "local")

    assert ended.returncode == PluginError("").exit_code
    assert "it has no method models()" in ended.stderr
    assert not (workshop.directory / "out").exists()
