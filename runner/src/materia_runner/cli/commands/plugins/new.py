"""`materia plugins new`: write the package of a new source, sink or provider."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from materia_runner.cli.context import load_registry, to_json
from materia_runner.cli.echo import echo
from materia_runner.cli.options import Json

EPILOG = """\
\b
Examples:
  materia plugins new source ecb_rates        write ./materia-ecb-rates
  materia plugins new sink parquet --folder ~/parquet

\b
The package runs, passes its contract and builds a wheel as it is, without network. Change
it step by step, and run its tests after each.
"""
# What an author changes first.
FIRST = {
    "source": "__init__.py: where the files are, their columns and their key",
    "sink": "sink.py: `export` writes the files that readers see",
    "provider": "provider.py: the requests of your API, and its prices",
}
WORLDS = {
    "source": "the server that its tests start",
    "sink": "nothing but a folder",
    "provider": "the cloud that emulator.py emulates",
}
# How to use it without an account, a server or a network.
TRIES = {
    "source": ["echo 'source = \"{name}\"' > materia.toml", "materia run --sample"],
    "sink": ["echo 'sink = \"{name}\"' > materia.toml", "materia run --sample"],
    "provider": ["materia emulator"],
}


def new(
    context: typer.Context,
    kind: Annotated[
        str, typer.Argument(metavar="source|sink|provider", help="What the plugin is.")
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name that a user types.")],
    *,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            metavar="DIR",
            help="Write into this new folder instead of ./materia-NAME.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Write the package of a new source, sink or provider."""
    from materia.errors import ConfigError
    from materia.plugins import KINDS

    from materia_runner.authoring.new_package import (
        check_name,
        distribution_of,
        package_of,
        write_package,
    )
    from materia_runner.install_hints import editable_command

    if kind not in KINDS:
        raise ConfigError(f"a plugin is a source, a sink or a provider, not {kind!r}")
    check_name(load_registry(context), kind, name)
    where = folder or Path(distribution_of(name))
    written = write_package(kind, name, where)
    if json:
        echo(to_json({"folder": str(where), "files": written}))
        return
    echo(f"wrote {where}, the package of the {kind} {name!r}:")
    for path in written:
        echo(f"  {path}")
    echo(
        f"\nnext:\n"
        f"  cd {where}\n"
        f"  {editable_command('.')}\n"
        f"  materia plugins check .\n"
        + "".join(f"  {line.format(name=name)}\n" for line in TRIES[kind])
        + f"\nChange src/{package_of(name)}/{FIRST[kind]}.\n"
        f"`materia plugins check` runs its contract, one test for each promise, against "
        f"{WORLDS[kind]}.\n"
        f"docs/plugins.md explains each step."
    )
