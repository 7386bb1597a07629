"""Options that several commands share, and their shell completion."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer


def complete_provider(incomplete: str) -> list[tuple[str, str]]:
    """Names of the installed providers."""
    from materia.plugins import load_plugins

    return [
        (found.plugin.name, found.plugin.summary)
        for found in load_plugins().of_kind("provider")
        if found.plugin.name.startswith(incomplete)
    ]


def complete_providers(incomplete: str) -> list[tuple[str, str]]:
    """`auto`, and the names of the installed providers."""
    auto = ("auto", "all that rent machines and have credentials")
    return [*([auto] if "auto".startswith(incomplete) else []), *complete_provider(incomplete)]


def complete_source(incomplete: str) -> list[tuple[str, str]]:
    """Names of the installed sources."""
    from materia.plugins import load_plugins

    return [
        (found.plugin.name, found.plugin.summary)
        for found in load_plugins().of_kind("source")
        if found.plugin.name.startswith(incomplete)
    ]


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        envvar="MATERIA_CONFIG",
        help="Read this file instead of the nearest materia.toml, here or in a parent folder.",
    ),
]
ProviderName = Annotated[
    str | None,
    typer.Option(
        "--provider",
        metavar="auto|NAME[,NAME...]",
        autocompletion=complete_providers,
        help="Run on the cheapest machine of these providers instead of those in materia.toml "
        "(default: local); auto: all that rent machines and have credentials.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print only JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors.")]
Sample = Annotated[
    bool,
    typer.Option(
        "--sample",
        help="Use the sample data bundled with the sources, without network. It is kept apart: a "
        "later run without --sample replaces the tables built from it.",
    ),
]
SourceNames = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="NAME",
        autocompletion=complete_source,
        help="Fetch and load only this source of the pipeline; repeat it for more. The tables of "
        "the others stay as they are.",
    ),
]
Drop = Annotated[
    list[str] | None,
    typer.Option(
        "--drop",
        metavar="NAME",
        help="Remove the tables of a source that the pipeline published and no longer lists; "
        "repeat it for more. Raw files stay in the sink.",
    ),
]
Everything = Annotated[
    bool,
    typer.Option(
        "--everything",
        help="Ask the sources for every partition again, not only those that may be new.",
    ),
]


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise typer.BadParameter(f"{text!r} is not an amount, like 0.50")
    return amount


MaxCost = Annotated[
    Decimal | None,
    typer.Option(
        "--max-cost",
        parser=_amount,
        metavar="AMOUNT",
        help="Rent nothing if this run could cost more (price x hard deadline, extras included), "
        "in the currency of materia.toml (default: EUR).",
    ),
]
Yes = Annotated[
    bool,
    typer.Option(
        "--yes",
        "-y",
        help="Rent without asking. Only a run on a terminal asks; in CI it never does.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Show which machines would be rented, and why; rent and run nothing."
    ),
]
