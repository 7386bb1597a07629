"""Options that several commands share, and what the shell completes them with."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer


def _names(kind: str, incomplete: str) -> list[tuple[str, str]]:
    from materia.plugins import load_plugins

    return [
        (found.plugin.name, found.plugin.summary)
        for found in load_plugins().found
        if found.kind == kind and found.plugin.name.startswith(incomplete)
    ]


def complete_provider(incomplete: str) -> list[tuple[str, str]]:
    """Names of the installed providers."""
    return _names("provider", incomplete)


def complete_providers(incomplete: str) -> list[tuple[str, str]]:
    """The same, and `auto`."""
    auto = ("auto", "all that rent machines and have their credentials")
    return [*([auto] if "auto".startswith(incomplete) else []), *complete_provider(incomplete)]


def complete_source(incomplete: str) -> list[tuple[str, str]]:
    """Names of the installed sources."""
    return _names("source", incomplete)


def complete_sink(incomplete: str) -> list[tuple[str, str]]:
    """Names of the installed sinks."""
    return _names("sink", incomplete)


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        envvar="MATERIA_CONFIG",
        help="Read this file instead of the nearest materia.toml, here or in a folder above.",
    ),
]
ProviderName = Annotated[
    str | None,
    typer.Option(
        "--provider",
        metavar="auto|NAME[,NAME...]",
        autocompletion=complete_providers,
        help="Run on the cheapest machine of these instead of those in materia.toml (local without "
        "it); auto: of all that rent and have their credentials.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and errors.")]
Sample = Annotated[
    bool,
    typer.Option(
        "--sample",
        help="Use the small data that comes with the source; needs no network. It is kept apart: "
        "a later run without --sample replaces the tables built from it.",
    ),
]
Everything = Annotated[
    bool,
    typer.Option(
        "--everything",
        help="Ask the source for every partition again, not only for those that may be new.",
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
        help="Rent nothing if this run could cost more, in the currency of materia.toml (EUR "
        "without it): price times hard deadline, all in.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Say which machines would be rented, and why; rent none, run nothing."
    ),
]
