"""`materia plugins check` names each promise that a package breaks, the cause and the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes.workshop import Workshop
from materia.errors import ConfigError
from materia_runner.authoring import check_package
from materia_runner.authoring.package_rules import on_the_surface

# The contract whole takes a minute: test_third_party.py runs it.
FEW = '\naddopts = ["-k", "nothing_is or any_key"]\n'
WRONG_INIT = """
import time
import materia_runner.codec
from materia.plugins import load_plugins
from materia import Plugin, hookimpl
from materia_duckdb.sink import DuckDBSink
from materia_testing.contracts import contract
from materia_providers.polling import FIRST_PAUSE

ends = time.thread_time() + 0.4
while time.thread_time() < ends:
    pass


class Half:
    def known(self, source, more):
        return {}


@hookimpl
def materia_sinks():
    return [Plugin(name="half", summary="for tests", open=lambda opening: Half())]
"""


def checked(workshop: Workshop, *words: str, expected: int) -> dict[str, Any]:
    ended = workshop.run("plugins", "check", *words, "--json")
    assert ended.returncode == expected, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def broken(found: dict[str, Any]) -> dict[str, str]:
    return {one["promise"]: one["cause"] for one in found["findings"] if one["status"] == "failed"}


def new(workshop: Workshop, kind: str, name: str) -> Path:
    assert workshop.run("plugins", "new", kind, name).returncode == 0
    folder = workshop.directory / f"materia-{name}"
    with (folder / "pyproject.toml").open("a") as file:
        file.write(FEW)
    return folder


def test_a_new_package_keeps_every_promise(workshop: Workshop) -> None:
    new(workshop, "sink", "moon")
    found = checked(workshop, "materia-moon", expected=0)
    kinds = {one["check"] for one in found["findings"]}

    assert found["ok"]
    assert kinds == {"metadata", "imports", "start", "protocol", "contract"}
    assert {one["status"] for one in found["findings"]} == {"ok"}
    assert sum(one["plugin"] == "sink moon" for one in found["findings"]) > 5


def test_a_promise_that_is_broken_is_said_with_its_cause_and_page(workshop: Workshop) -> None:
    folder = new(workshop, "sink", "moon")
    code = folder / "src/materia_moon/sink.py"
    # It takes every key for one.
    code.write_text(
        code.read_text()
        + "\n    def known(self, source, /):\n"
        + "        found = dict(super().known(source))\n"
        + "        return dict(list(found.items())[:1])\n"
    )
    ended = workshop.run("plugins", "check", "materia-moon")

    assert ended.returncode == 1
    assert "NOT KEPT: any key and file name can be kept (sink moon)\n  cause: " in ended.stdout
    assert "  page:  docs/plugins.md#a-sink\n" in ended.stdout
    assert "materia-moon 0.1.0: " in ended.stdout
    assert "promises are not kept" in ended.stdout


def test_every_rule_that_a_package_breaks_is_named_at_once(workshop: Workshop) -> None:
    workshop.write(
        "wrong/pyproject.toml",
        '[project]\nname = "wrong"\ndependencies = ["materia-core"]\n'
        '[project.entry-points.materia]\nhalf = "wrong_sink"\n',
    )
    workshop.write("wrong/src/wrong_sink/__init__.py", WRONG_INIT)
    faults = broken(checked(workshop, "wrong", expected=1))

    assert set(faults) == {
        "the package has a version",
        "it requires materia-core, from one version and below another",
        "its licence is known",
        "type checkers can read it",
        "it imports nothing of the runner",
        "it imports no other plugin",
        "it imports only the stable API of materia",
        "only its emulator imports the test kit",
        "it requires each kit that it imports",
        "its module only declares, and is quick to import",
        "its object has the methods of the protocol",
        "its tests hold it to the contract of a sink",
    }
    assert (
        "wrong_sink/__init__.py:4 imports materia.plugins.load_plugins"
        in (faults["it imports only the stable API of materia"])
    )
    assert "FIRST_PAUSE" in faults["it imports only the stable API of materia"]
    assert "does not require materia-providers" in faults["it requires each kit that it imports"]
    assert (
        "it has no method publish(request)"
        in (faults["its object has the methods of the protocol"])
    )
    assert "materia_duckdb" in faults["its module only declares, and is quick to import"]


def test_a_module_that_cannot_be_loaded_and_tests_that_cannot_run_are_said(
    workshop: Workshop,
) -> None:
    folder = new(workshop, "sink", "moon")
    (folder / "tests/test_sink.py").write_text("import nothing_of_that_name\n")
    tests = broken(checked(workshop, "materia-moon", expected=1))
    (folder / "src/materia_moon/__init__.py").write_text("1 / 0\n")
    module = broken(checked(workshop, "materia-moon", expected=1))

    assert "nothing_of_that_name" in tests["its tests can be run, and pass"]
    assert "its tests hold it to the contract of a sink" in tests
    assert module["its module can be loaded"].startswith("ZeroDivisionError")


def test_what_is_neither_a_folder_nor_a_package_is_refused(workshop: Workshop) -> None:
    ended = workshop.run("plugins", "check", "nowhere")

    assert ended.returncode == 2
    assert "'nowhere' is neither a folder with a pyproject.toml nor an installed" in ended.stderr


@pytest.mark.parametrize("missing", ["pytest", "materia_testing"])
def test_what_runs_the_tests_is_named_where_it_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    def find_spec(name: str) -> object:
        return None if name == missing else object()

    monkeypatch.setattr(check_package, "find_spec", find_spec)
    with pytest.raises(
        ConfigError, match=rf"{missing.replace('_', '-')} is not installed here.*in"
    ):
        check_package.require_test_kit()


def test_what_plugins_may_import_is_read_and_not_imported() -> None:
    assert on_the_surface("materia", "Offer")
    assert on_the_surface("materia.kit", "sql")
    assert on_the_surface("materia_providers.polling", "poll")
    assert on_the_surface("materia_store", "publication")
    assert on_the_surface("materia_store.folder.sink", "FolderSink")
    assert on_the_surface("materia_store.bucket", "sink")
    assert not on_the_surface("materia", "plugins")
    assert not on_the_surface("materia.forms", "SHA256")
    assert not on_the_surface("materia_providers.polling", "FIRST_PAUSE")
    assert not on_the_surface("materia_store.object_redirects", "redirected_to")
