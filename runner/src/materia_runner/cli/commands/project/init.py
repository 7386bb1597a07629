"""`materia init`: a commented materia.toml, written from what is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from materia_runner.cli.context import load_registry
from materia_runner.cli.echo import echo
from materia_runner.cli.fast_typer import command_app

EPILOG = """\
\b
Every key is there with its default and commented out, so the new file changes nothing
until a line is uncommented. An existing file is never overwritten.
"""


def init(
    context: typer.Context,
    *,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Write this file, not ./materia.toml."),
    ] = None,
) -> None:
    """Write a materia.toml that explains every setting."""
    from materia.errors import ConfigError

    from materia_runner.config.load import FILE_NAME
    from materia_runner.config.template import template

    path = config or Path(FILE_NAME)
    text = template(load_registry(context))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigError(
            f"{path} exists already and stays as it is; use --config to write another file"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error
    echo(f"wrote {path}: every key at its default; uncomment what you want to change")


app = command_app("init", init, epilog=EPILOG)
