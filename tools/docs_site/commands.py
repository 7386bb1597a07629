"""Every command of `materia` with its help: one page for each line of `materia --help`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from materia_runner.cli.main import app
from materia_runner.cli.tree import TREE

WIDTH = 88
# Of the reader's terminal, not of the computer that builds the site.
SETTINGS = {"terminal_width": WIDTH, "max_content_width": WIDTH, "color": False}


def command_pages() -> dict[str, str]:
    """Text of each page by its name, with `commands/index.md`."""
    root: Any = typer.main.get_command(app)
    pages = {}
    trees = ""
    for panel in TREE:
        names = [branch.name for branch in panel.branches]
        for name in names:
            pages[f"commands/{name}.md"] = "".join(_sections(root.commands[name], "materia", name))
        trees += f"\n```{{toctree}}\n:caption: {panel.title}\n\n" + "\n".join(names) + "\n```\n"
    pages["commands/index.md"] = (
        f"# Commands\n\nThe help of each command, as `--help` prints it.\n\n"
        f"```text\n{_help(root, 'materia')}\n```\n{trees}"
    )
    return pages


def _sections(command: Any, *path: str) -> Iterator[str]:
    """The command and all commands below it, each under a heading."""
    words = " ".join(path)
    level = "#" * (len(path) - 1)
    yield f"{level} `{words}`\n\n```text\n{_help(command, *path)}\n```\n\n"
    for name, below in getattr(command, "commands", {}).items():
        if not below.hidden:
            yield from _sections(below, *path, name)


def _help(command: Any, *path: str) -> str:
    context = None
    for name in path[:-1]:
        context = typer.Context(typer.core.TyperGroup(), info_name=name, parent=context)
    made = command.context_class(command, info_name=path[-1], parent=context, **SETTINGS)
    text: str = command.get_help(made)
    return text.rstrip()
