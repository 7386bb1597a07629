from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import materia_runner.cli.commands
import pytest
import typer
from fakes.workshop import Workshop
from materia_runner.cli.main import app
from materia_runner.cli.tree import TREE, Branch

BRANCHES = [branch for panel in TREE for branch in panel.branches]
ROOMS = Path(materia_runner.cli.commands.__file__).parent


def leaves(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
    below = getattr(command, "commands", {})
    if not below:
        yield path
    for name in below:
        yield from leaves(below[name], *path, name)


@pytest.mark.parametrize("branch", BRANCHES, ids=lambda branch: branch.name)
def test_the_line_of_a_command_is_how_its_own_help_begins(branch: Branch) -> None:
    command: Any = typer.main.get_command(app)

    made = command.commands[branch.name]

    assert made.name == branch.name
    assert made.get_short_help_str(limit=100) == branch.help


def test_a_heading_of_the_help_is_a_folder_of_commands() -> None:
    folders = {panel.title.lower() for panel in TREE}

    for panel in TREE:
        modules = {branch.module.partition(".")[0] for branch in panel.branches}
        assert modules == {panel.title.lower()}
    assert folders == {path.parent.name for path in ROOMS.glob("*/__init__.py")}


def test_help_lists_every_command_under_its_heading(workshop: Workshop) -> None:
    shown = workshop.run("--help").stdout

    for panel in TREE:
        listed = shown.partition(f"\n{panel.title}:\n")[2].partition("\n\n")[0]
        assert [line.split()[0] for line in listed.splitlines()] == [
            branch.name for branch in panel.branches
        ]


def test_a_command_does_not_import_the_others(workshop: Workshop) -> None:
    code = (
        "import sys; from materia_runner.cli.main import app\n"
        "try: app(['sources'])\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=workshop.directory,
        env=workshop.environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    modules = ended.stderr.split()
    commands = {name for name in modules if name.startswith("materia_runner.cli.commands.")}
    assert ended.stdout
    assert commands == {
        "materia_runner.cli.commands.plugins",
        "materia_runner.cli.commands.plugins.sources",
    }


def test_every_command_that_prints_values_can_print_json() -> None:
    silent = {  # they write a file, run until Ctrl-C, or hand over the terminal
        ("init",),
        ("emulator",),
        ("worker", "ssh"),
    }
    command: Any = typer.main.get_command(app)
    for path in set(leaves(command)) - silent:
        found = command
        for name in path:
            found = found.commands[name]
        assert any("--json" in param.opts for param in found.params), " ".join(path)


@pytest.mark.parametrize("group", ["runs", "plugins"])
def test_a_group_that_lists_does_so_with_and_without_the_word(
    folders: Workshop, group: str
) -> None:
    folders.run("pipeline", "run", "extract")

    alone = folders.run(group, "--json")
    listed = folders.run(group, "list", "--json")
    before = folders.run(group, "--json", "list")

    assert json.loads(alone.stdout)
    assert alone.stdout == listed.stdout == before.stdout


def test_options_before_the_word_count_too(folders: Workshop) -> None:
    for _ in range(2):
        folders.run("pipeline", "run", "extract")

    before = json.loads(folders.run("runs", "--limit", "1", "--json", "list").stdout)
    none = json.loads(folders.run("runs", "--since", "2100-01-01", "--json", "list").stdout)

    assert len(before) == 1
    assert none == []


def test_the_shell_completes_commands_of_a_group(workshop: Workshop) -> None:
    def completed(words: str, number: int) -> list[str]:
        variables = {
            "_MATERIA_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(number),
        }
        return workshop.run(environment=variables).stdout.split()

    assert completed("materia s", 1) == [
        "sweep",
        "schedule",
        "secrets",
        "sources",
        "sinks",
    ]
    assert completed("materia runs ", 2) == ["list", "show", "cost"]
