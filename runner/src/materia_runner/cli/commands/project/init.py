"""`materia init`: write a commented materia.toml, and copy an installed SQLMesh project to edit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from materia_runner.cli.context import load_registry
from materia_runner.cli.echo import Whole, echo
from materia_runner.cli.fast_typer import command_app

if TYPE_CHECKING:
    from materia.plugins import Registry

EPILOG = """\
\b
The file has every key with its default, commented out, so it changes nothing until you
uncomment a line. An existing file is never overwritten.

\b
  materia init --project models    copy the installed project into ./models, and use it
"""


def init(
    context: typer.Context,
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Write to this file instead of ./materia.toml."
        ),
    ] = None,
    project: Annotated[
        Path | None,
        typer.Option(
            "--project",
            metavar="DIR",
            help="Copy the installed SQLMesh project of the pipeline's sources into this folder.",
        ),
    ] = None,
) -> None:
    """Write a materia.toml that explains every setting."""
    from materia.errors import ConfigError

    from materia_runner.config.load import FILE_NAME
    from materia_runner.config.template import template

    path = config or Path(FILE_NAME)
    registry = load_registry(context)
    chosen = None if project is None else _copy_project(registry, project, path)
    if chosen is not None and path.exists():
        echo(f"to use it, write into {path}:")
        echo(Whole(f"\n[transform]\nproject = {chosen}"))
        return
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template(registry, project=chosen))
    except FileExistsError as error:
        raise ConfigError(
            f"{path} already exists and was not changed; use --config to write another file"
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error
    if chosen is None:
        echo(f"wrote {path}: every key at its default; uncomment what you want to change")
    else:
        echo(f"wrote {path}: it uses the copy, and has every other key at its default")


def _copy_project(registry: Registry, folder: Path, config: Path) -> str:
    """Copy the installed project for the sources of *config*; returns its relative path as TOML."""
    import json
    import os

    from materia_runner.config.load import load_config
    from materia_runner.config.project import copy_project

    pipeline = load_config(registry, path=config if config.exists() else None, start=Path.cwd())
    brought = [one for one in pipeline.sources if one in {p.name for p in registry.projects}]
    project = copy_project(registry.projects, [*brought, *pipeline.sources][0], folder)
    echo(f"copied the SQLMesh project of {project.distribution} {project.version} into {folder}")
    return json.dumps(os.path.relpath(folder, config.parent), ensure_ascii=False)


app = command_app("init", init, epilog=EPILOG)
