"""`materia plugins`: list, write and check plugins, broken ones too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from materia_runner.cli.commands.plugins import check, new
from materia_runner.cli.context import load_registry, to_json
from materia_runner.cli.echo import echo
from materia_runner.cli.fast_typer import Command, group_app
from materia_runner.cli.options import Json

if TYPE_CHECKING:
    from materia._entry_points import Project

EPILOG = """\
\b
A plugin is a Python package with an entry point in the group `materia`; to add one, install
it. A project is a package with an entry point in the group `materia.projects`: a folder of
SQLMesh models for the source of its name. A plugin that cannot be loaded is `broken`; the
others still work. Two of the same kind and name are `twice`: neither is used until you
uninstall one.
"""
LIST_EPILOG = """\
\b
Examples:
  materia plugins list
  materia plugins list --json
"""


app = group_app(
    "plugins", help="List installed providers, sources and sinks, broken ones too.", epilog=EPILOG
)


@app.callback(invoke_without_command=True, no_args_is_help=False)
def plugins(context: typer.Context, *, json: Json = False) -> None:
    """List plugins and SQLMesh projects, broken ones too."""
    if context.invoked_subcommand is None:
        _list(context, json=json)


@app.command("list", cls=Command, epilog=LIST_EPILOG)
def list_plugins(context: typer.Context, *, json: Json = False) -> None:
    """List what is installed; the same as `materia plugins`."""
    before = context.parent is not None and bool(context.parent.params.get("json"))
    _list(context, json=json or before)


app.command("new", cls=Command, epilog=new.EPILOG)(new.new)
app.command("check", cls=Command, epilog=check.EPILOG)(check.check)


def _list(context: typer.Context, *, json: bool) -> None:
    from materia_runner.cli.output.text import table

    registry = load_registry(context)
    names = [(found.kind, found.plugin.name) for found in registry.found]
    rows: list[dict[str, object]] = [
        {
            "kind": found.kind,
            "name": found.plugin.name,
            "version": found.version,
            "distribution": found.distribution,
            "module": found.module,
            "status": "ok" if names.count((found.kind, found.plugin.name)) == 1 else "twice",
            "summary": found.plugin.summary,
            "secrets": list(found.plugin.secrets),
            "error": None,
        }
        for found in registry.found
    ]
    rows += [
        {
            "kind": None,
            "name": failure.name,
            "version": failure.version,
            "distribution": failure.distribution,
            "module": failure.module,
            "status": "broken",
            "summary": None,
            "secrets": [],
            "error": failure.error,
        }
        for failure in registry.failures
    ]
    rows += [_project_row(project, registry.projects) for project in registry.projects]
    if json:
        echo(to_json(rows))
        return
    head = ("kind", "name", "version", "distribution", "status", "error")
    shown = [[str(row[column] or "") for column in head] for row in rows]
    echo(table(shown, head=head) if rows else "no plugins are installed")


def _project_row(project: Project, every: Sequence[Project]) -> dict[str, object]:
    found = project.locate() is not None
    twice = [other.name for other in every].count(project.name) > 1
    return {
        "kind": "project",
        "name": project.name,
        "version": project.version,
        "distribution": project.distribution,
        "module": project.module,
        "status": "twice" if twice else "ok" if found else "broken",
        "summary": f"SQLMesh models for the source {project.name}",
        "secrets": [],
        "error": None if found else f"cannot find the folder {project.module}",
    }
