"""`materia config`: check materia.toml, and name every mistake in it at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from materia_runner.cli.context import load_registry, read_pipeline, to_json, warn_of_failures
from materia_runner.cli.echo import echo
from materia_runner.cli.fast_typer import Command, group_app
from materia_runner.cli.options import Config, Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from materia.plugins import Registry

    from materia_runner.config.load import Reading
    from materia_runner.config.table import Mistake

app = group_app("config", help="Check materia.toml, and name every mistake.")

EPILOG = """\
It writes nothing, connects to nothing and opens no plugin.

\b
It finds, each with its file, its key and what to write:
  unknown tables and keys, with the nearest known name
  wrong types and impossible values
  unknown providers, sources, sinks and SQLMesh projects
  settings that the plugin of their table refuses
  secrets: they belong in the environment or .env, never in this file

\b
It checks the settings of the plugins that the pipeline uses, and of those that have a key in
the file. Whether a secret is missing is another question: materia secrets check.

\b
Examples:
  materia config check
  materia config check --config other.toml --json

\b
Exit codes:
  0  no mistakes; without a file, the defaults apply
  2  mistakes
"""


@app.callback()
def group() -> None:
    """Check materia.toml, and name every mistake."""


@app.command("check", cls=Command, epilog=EPILOG)
def check(context: typer.Context, *, json: Json = False, config: Config = None) -> None:
    """Check materia.toml without a run."""
    from materia_runner.cli.redact_output import know, unsaid
    from materia_runner.config.check import check as check_config

    registry = load_registry(context)
    warn_of_failures(registry)
    reading = read_pipeline(registry, config)
    secrets = _secrets(registry, reading)
    know(secrets.values())
    mistakes = check_config(registry, reading, secrets)
    if json:
        described = [
            {"file": one.file, "key": one.key or None, "message": unsaid(one.message)}
            for one in mistakes
        ]
        file = None if reading.file is None else str(reading.file)
        echo(to_json({"file": file, "mistakes": described}))
    elif mistakes:
        echo(unsaid(_as_text(mistakes)), err=True)
    else:
        echo(_all_right(reading))
    if mistakes:
        raise typer.Exit(2)


def _secrets(registry: Registry, reading: Reading) -> dict[str, str]:
    """The secrets that are set in the environment or in .env; Pulumi ESC would be a connection."""
    import os

    from materia_runner.config.parse import secret_names
    from materia_runner.secrets.redaction import PLACE
    from materia_runner.secrets.resolve import resolve

    found = resolve(
        os.environ,
        names=secret_names(registry),
        dotenv=reading.pipeline.directory / ".env",
        esc=None,
    )
    return {name: found.values[name] for name in found.origin if not name.endswith(PLACE)}


def _as_text(mistakes: Sequence[Mistake]) -> str:
    number = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    return "\n".join([f"materia: {number}", *(f"  {one.message}" for one in mistakes)])


def _all_right(reading: Reading) -> str:
    if reading.file is None:
        return "no materia.toml here or in a folder above: every setting has its default"
    return f"{reading.file}: no mistakes"
