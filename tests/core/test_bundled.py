"""Which plugins come with materia is said in metadata, and in no code."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from materia._entry_points import EntryPoint
from materia.errors import PluginError
from materia_runner.bundled import bundled, bundled_providers, load_registry

ROOT = Path(__file__).resolve().parents[2]
# The extra `s3` of materia-runner, its client of buckets, has the name of a sink.
EXTRAS_OF_THE_RUNNER = {("find.py", "s3")}
PLUGINS = sorted((ROOT / "plugins").glob("*/*/pyproject.toml"))


def name_of(file: Path) -> str:
    return str(tomllib.loads(file.read_text())["project"]["name"])


def test_every_plugin_of_the_workspace_comes_with_materia_and_its_project_and_no_other() -> None:
    assert len(PLUGINS) > 7
    assert bundled() == {name_of(file) for file in (*PLUGINS, ROOT / "transform/pyproject.toml")}


def test_the_providers_that_rent_are_those_of_the_workspace() -> None:
    providers = {name_of(file) for file in PLUGINS if file.parts[-3] == "providers"}

    assert bundled_providers() == providers - {"materia-local"}


@pytest.mark.parametrize("folder", ["core", "kits", "runner", "testing"])
def test_no_code_but_a_plugins_own_names_a_plugin_as_a_value(folder: str) -> None:
    names = {name_of(file).removeprefix("materia-") for file in PLUGINS}
    # DuckDB and "local" are also words of their own: a dialect of SQL, a machine.
    names -= {"duckdb", "local"}
    named = {part for name in names for part in (name, f"materia-{name}", f"materia_{name}")}
    found = {
        f"{file.relative_to(ROOT)}:{node.lineno} {node.value}"
        for file in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_bytes()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node.value.partition(".")[0] in named
        if (file.name, node.value) not in EXTRAS_OF_THE_RUNNER
    }

    assert found == set()


def test_only_plugins_that_come_with_materia_are_left_without_those_of_others() -> None:
    ours = EntryPoint(
        name="local", value="materia_local", distribution="materia-local", version="1"
    )
    others = EntryPoint(name="other", value="gone", distribution="other", version="1")

    every, left = load_registry([ours, others]), load_registry([ours, others], bundled_only=True)

    assert [failure.distribution for failure in every.failures] == ["other"]
    assert left.failures == ()
    assert [found.plugin.name for found in left.found] == ["local"]


def test_what_comes_with_materia_and_is_not_installed_is_told_with_its_extra() -> None:
    registry = load_registry([])

    with pytest.raises(PluginError, match=r"none; to add it: `uv sync --inexact --extra hetzner`$"):
        registry.provider("hetzner")
    with pytest.raises(PluginError) as raised:
        registry.provider("aws")
    assert str(raised.value) == "unknown provider 'aws'; installed: none"


def test_where_only_sources_lie_and_no_metadata_nothing_comes_with_materia() -> None:
    asked = "from materia_runner.bundled import bundled; print(sorted(bundled()))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", asked],
        env={"PYTHONPATH": str(ROOT / "runner/src")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "[]\n"
