"""The tree of commands: groups, names and one-line help; modules are imported lazily."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer
from materia._dataclass import dataclass

from materia_runner.cli.fast_typer import Group

# A command or a group of commands; typer.core has no name for either.
Made = Any


@dataclass(frozen=True, slots=True)
class Branch:
    """A command, or a group of commands, right below `materia`.

    Attributes:
        name: As it is typed.
        module: Under `commands`; its `app` is the command. Imported when the command is used.
        help: Its line in `materia --help`, the first line of its own help.
    """

    name: str
    module: str
    help: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A heading of the help with its commands: a folder of `commands`."""

    title: str
    branches: tuple[Branch, ...]


TREE = (
    Panel(
        "Project",
        (
            Branch("init", "project.init", "Write a materia.toml that explains every setting."),
            Branch("config", "project.config", "Check materia.toml, and name every mistake."),
        ),
    ),
    Panel(
        "Pipelines",
        (
            Branch("run", "pipelines.run", "Fetch new data, turn it into tables and publish them."),
            Branch(
                "plan",
                "pipelines.plan",
                "Show which machines a run rents, and models it rebuilds.",
            ),
            Branch("pipeline", "pipelines.pipeline", "Run a single stage of the pipeline."),
            Branch("runs", "pipelines.runs", "List runs, and show what they did and cost."),
        ),
    ),
    Panel(
        "Tables",
        (
            Branch("query", "tables.query", "Run an SQL query on published tables."),
            Branch("tables", "tables.tables", "List and export published tables, and roll back."),
            Branch("report", "tables.report", "Write an HTML page of runs, costs and tables."),
        ),
    ),
    Panel(
        "Machines",
        (
            Branch(
                "providers",
                "machines.providers",
                "Compare machine prices, and list what runs.",
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
                "artifact", "deployment.artifact", "Build, list and push what rented machines run."
            ),
            Branch(
                "schedule",
                "deployment.schedule",
                "Start runs and sweeps by themselves: systemd, cron or GitLab.",
            ),
            Branch(
                "secrets",
                "deployment.secrets",
                "List which secrets are needed, and where they are found.",
            ),
        ),
    ),
    Panel(
        "Plugins",
        (
            Branch(
                "plugins",
                "plugins.plugins",
                "List installed providers, sources and sinks, broken ones too.",
            ),
            Branch(
                "sources",
                "plugins.sources",
                "List the sources, with their current settings.",
            ),
            Branch(
                "sinks", "plugins.sinks", "List the sinks, with the contents of the one in use."
            ),
        ),
    ),
)


class Root(Group):
    """The group `materia`: help from TREE; a command's module is imported when it is used."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = Commands(TREE, self.commands)

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the tree."""
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one list for each panel, with the second columns aligned."""
        width = max(len(branch.name) for panel in TREE for branch in panel.branches)
        for panel in TREE:
            with formatter.section(panel.title):
                formatter.write_dl(
                    [(branch.name.ljust(width), branch.help) for branch in panel.branches]
                )


class Commands(MutableMapping[str, Made]):
    """Commands by name; those of the tree are made on first access."""

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
