"""`materia providers`: prices, credentials, regions and running instances of each provider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from materia_runner.cli.commands.machines.price import (
    EPILOG,
    ChartCommand,
    Names,
    Timeout,
    price,
    split,
)
from materia_runner.cli.context import (
    load_environment,
    load_pipeline,
    load_registry,
    to_json,
    warn_of_failures,
)
from materia_runner.cli.echo import echo
from materia_runner.cli.fast_typer import Command, group_app
from materia_runner.cli.options import Config, Json
from materia_runner.cli.output.waiting import Waiting

if TYPE_CHECKING:
    from materia.plugins import InstalledPlugin, Registry
    from materia.protocols import Provider

app = group_app(
    "providers",
    help="Compare machine prices, and list what runs.",
)
app.command("price", cls=ChartCommand, epilog=EPILOG)(price)

LIST_EPILOG = """\
\b
Credentials are
  not needed   the provider has none
  missing      the listed variables are not set
  set          the variables are set, but were not checked
  good         the provider accepted them
  refused      the provider refused them

--check exits with 1 when a provider did not answer, and with 2 when credentials were refused.
"""
Check = Annotated[
    bool,
    typer.Option(
        "--check", help="Check that each provider accepts its credentials (sets the exit code)."
    ),
]


@app.command("list", cls=Command, epilog=LIST_EPILOG)
def list_providers(
    context: typer.Context,
    *,
    check: Check = False,
    provider: Names = None,
    timeout: Timeout = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """List providers, their credentials, regions and running instances."""
    from materia_runner.cli.commands.machines.provider_list import as_text, describe_all

    registry = load_registry(context)
    warn_of_failures(registry)
    pipeline = load_pipeline(registry, config)
    named = _named(registry, split(provider))
    environment = load_environment(registry, pipeline, using=named)
    with Waiting() as waiting:
        described = describe_all(
            named,
            pipeline,
            environment,
            timeout=timeout,
            waiting=waiting.show,
        )
    echo(to_json(described) if json else as_text(described))
    if check:
        states = {one["credentials"] for one in described}
        failed = any(one["error"] for one in described)
        code = 2 if "refused" in states else 1 if failed else 0
        raise typer.Exit(code)


def _named(registry: Registry, names: Sequence[str]) -> list[InstalledPlugin[Provider]]:
    every = sorted({one.plugin.name for one in registry.of_kind("provider")})
    return [registry.provider(name) for name in dict.fromkeys(names or every)]
