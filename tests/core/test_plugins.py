from __future__ import annotations

import json
from subprocess import CompletedProcess
from typing import Any

import pytest
from fakes.workshop import Workshop

BROKEN = {
    "no_module": None,
    "raises": "raise RuntimeError('no licence')",
    "misspelt": "from materia import hookimpl\n@hookimpl\ndef materia_sauces():\n    return []\n",
    "wrong_value": (
        "from materia import hookimpl\n@hookimpl\ndef materia_sources():\n    return ['acme']\n"
    ),
    "fails_late": (
        "from materia import hookimpl\n@hookimpl\ndef materia_sources():\n    return 1 / 0\n"
    ),
    "more_arguments": (
        "from materia import hookimpl\n@hookimpl\ndef materia_sources(config):\n    return []\n"
    ),
    "unmarked": "def materia_sources():\n    return []\n",
    "exits": "import sys\nsys.exit('not on this machine')\n",
}
SAID = {
    "no_module": "ModuleNotFoundError: No module named 'acme_no_module'",
    "raises": "RuntimeError: no licence",
    "misspelt": "materia_sauces",
    "wrong_value": "materia_sources returned 'acme', which is not a materia.Plugin",
    "fails_late": "ZeroDivisionError",
    "more_arguments": "config",
    "unmarked": "the module has no hook: "
    "mark one of materia_providers, materia_sources, materia_sinks with @hookimpl",
    "exits": "SystemExit: not on this machine",
}


def listed(workshop: Workshop, *arguments: str) -> dict[str, dict[str, Any]]:
    ended = workshop.run(*arguments, "plugins", "--json")

    assert ended.returncode == 0, ended.stderr
    return {f"{row['kind']} {row['name']}": row for row in json.loads(ended.stdout)}


def install(workshop: Workshop, name: str) -> None:
    text = BROKEN[name]
    if text is not None:
        workshop.module(f"acme_{name}", text)
    workshop.install(name, f"acme_{name}")


def test_what_a_plugin_prints_while_it_loads_is_not_in_the_output(folders: Workshop) -> None:
    folders.module("acme_chatty", f"print('hello')\n{BROKEN['unmarked']}")
    folders.install("chatty", "acme_chatty")

    assert listed(folders)["None chatty"]["status"] == "broken"
    assert folders.run("plugins").stderr == "hello\n"


@pytest.fixture(scope="module")
def beside_broken(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, dict[str, Any]], CompletedProcess[str]]:
    """The list of plugins where all of these are installed, and a stage that ran beside them."""
    folders = Workshop(tmp_path_factory.mktemp("broken"))
    folders.pipe_folders()
    for name in BROKEN:
        install(folders, name)
    return listed(folders), folders.run("pipeline", "run", "extract")


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_listed_and_stops_no_other(
    beside_broken: tuple[dict[str, dict[str, Any]], CompletedProcess[str]], name: str
) -> None:
    rows, ended = beside_broken

    assert rows[f"None {name}"]["status"] == "broken"
    assert rows[f"None {name}"]["distribution"] == f"materia-{name}"
    assert SAID[name] in rows[f"None {name}"]["error"]
    assert rows["source folder"]["status"] == "ok"
    assert ended.returncode == 0
    warning = f"warning: the plugin {name!r} of materia-{name} is left out: "
    assert [line for line in ended.stderr.splitlines() if line.startswith(warning)]


def test_a_misspelt_hook_is_told_with_what_was_meant(workshop: Workshop) -> None:
    install(workshop, "misspelt")

    error = listed(workshop)["None misspelt"]["error"]

    assert "did you mean 'materia_sources'?" in error


def test_a_broken_plugin_that_is_asked_for_is_an_error_with_its_cause(workshop: Workshop) -> None:
    install(workshop, "raises")
    workshop.write("materia.toml", 'source = "raises"\n')

    ended = workshop.run("run")

    assert ended.returncode == 2
    assert "the source 'raises' cannot be loaded from acme_raises: RuntimeError: no licence" in (
        ended.stderr
    )
    assert "Traceback" not in ended.stderr


def test_two_plugins_of_one_name_are_an_error_that_names_both(folders: Workshop) -> None:
    folders.module("acme_twin", "from fakes.folder import materia_sources")
    folders.install("twin", "acme_twin")

    rows = json.loads(folders.run("plugins", "--json").stdout)
    ended = folders.run("run")
    sources = folders.run("sources")

    twins = [row for row in rows if row["name"] == "folder" and row["kind"] == "source"]
    assert [row["status"] for row in twins] == ["twice", "twice"]
    assert ended.returncode == 2
    assert "two plugins declare the source 'folder': acme_twin and fakes.folder" in ended.stderr
    assert sources.returncode == 2


def test_two_plugins_of_one_name_harm_nobody_who_uses_another(workshop: Workshop) -> None:
    workshop.install("folder", "fakes.folder")
    workshop.module("acme_twin", "from fakes.folder import materia_sources")
    workshop.install("twin", "acme_twin")

    ended = workshop.run("sources")

    assert ended.returncode == 0
    assert ended.stdout.count("folder  (declared twice, unusable)") == 2


def test_no_plugins_leaves_the_bundled_ones(folders: Workshop) -> None:
    install(folders, "raises")

    rows = listed(folders, "--no-plugins")
    ended = folders.run("--no-plugins", "run")

    assert {"source psdonline", "sink duckdb", "provider local"} <= set(rows)
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert "source folder" not in rows
    assert ended.returncode == 2
    assert "unknown source 'folder'" in ended.stderr


def test_the_table_shows_version_and_distribution(folders: Workshop) -> None:
    lines = folders.run("plugins").stdout.splitlines()

    assert lines[0].split() == ["kind", "name", "version", "distribution", "status"]
    assert ["source", "folder", "1.2", "materia-folder", "ok"] in [line.split() for line in lines]
