"""The tree of commands: their groups, names and one line of help each, imported when used."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer

from materia_runner.cli.fast_typer import Group

# A command or a group of commands; typer.core has no name for either.
Made = Any


@dataclass(frozen=True, slots=True)
class Branch:
    """A command, or a group of commands, right below `materia`.

    Attributes:
        name: As it is typed.
        module: Under `commands`; its `app` is the command. Imported when the command is used.
        help: Its line in `materia --help`, as its own help begins.
    """

    name: str
    module: str
    help: str


@dataclass(frozen=True, slots=True)
class Panel:
    """Branches that belong together: a heading of the help, and a folder of `commands`."""

    title: str
    branches: tuple[Branch, ...]


TREE = (
    Panel(
        "Project",
        (Branch("init", "project.init", "Write a materia.toml that explains every setting."),),
    ),
    Panel(
        "Pipelines",
        (
            Branch(
                "run", "pipelines.run", "Fetch what is new, turn it into tables and publish them."
            ),
            Branch("plan", "pipelines.plan", "Show which machines a run would rent, and why."),
            Branch("pipeline", "pipelines.pipeline", "Run one stage of the pipeline alone."),
            Branch("runs", "pipelines.runs", "List runs, and tell what they did and cost."),
        ),
    ),
    Panel(
        "Machines",
        (
            Branch(
                "providers",
                "machines.providers",
                "Compare what machines cost, and see what runs.",
            ),
            Branch("worker", "machines.worker", "Rent single machines by hand."),
            Branch("sweep", "machines.sweep", "Destroy the machines that runs left behind."),
            Branch(
                "emulator",
                "machines.emulator",
                "Emulate the clouds of all providers on this machine.",
            ),
        ),
    ),
    Panel(
        "Deployment",
        (
            Branch(
                "artifact", "deployment.artifact", "See, make and push what rented machines run."
            ),
            Branch(
                "secrets",
                "deployment.secrets",
                "See which secrets are needed, and where they are found.",
            ),
        ),
    ),
    Panel(
        "Plugins",
        (
            Branch(
                "plugins",
                "plugins.plugins",
                "List providers, sources and sinks, the broken ones too.",
            ),
            Branch(
                "sources",
                "plugins.sources",
                "List the sources, with their settings as they are now.",
            ),
            Branch("sinks", "plugins.sinks", "List the sinks, and what the one in use holds."),
        ),
    ),
)


class Root(Group):
    """The group `materia`: help from the table above, a command's module when it is used."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = Commands(TREE, self.commands)

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the tree."""
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """One list for each panel; their second columns are one above the other."""
        width = max(len(branch.name) for panel in TREE for branch in panel.branches)
        for panel in TREE:
            with formatter.section(panel.title):
                formatter.write_dl(
                    [(branch.name.ljust(width), branch.help) for branch in panel.branches]
                )


class Commands(MutableMapping[str, Made]):
    """Commands by name; those of the tree are made when they are taken out."""

    def __init__(self, tree: tuple[Panel, ...], made: MutableMapping[str, Made]) -> None:
        self._branches = {branch.name: branch for panel in tree for branch in panel.branches}
        self._made = dict(made)

    def __getitem__(self, name: str) -> Made:
        if name not in self._made:
            module = import_module(f"materia_runner.cli.commands.{self._branches[name].module}")
            self._made[name] = typer.main.get_command(module.app)
        return self._made[name]

    def __setitem__(self, name: str, command: Made) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        self._branches.pop(name, None)
        del self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._branches or name in self._made

    def __iter__(self) -> Iterator[str]:
        return iter({**self._branches, **self._made})

    def __len__(self) -> int:
        return len({**self._branches, **self._made})
