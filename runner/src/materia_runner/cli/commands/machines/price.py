"""`materia providers price`: compare prices, what a stage would cost on each provider."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from materia_runner.cli.context import (
    load_environment,
    load_pipeline,
    load_registry,
    to_json,
    warn_of_failures,
)
from materia_runner.cli.echo import Whole, echo
from materia_runner.cli.fast_typer import Command
from materia_runner.cli.option_types import duration, size_gib
from materia_runner.cli.options import Config, Json, complete_provider
from materia_runner.cli.output.waiting import Waiting

if TYPE_CHECKING:
    from materia.compute import Requirements
    from materia.plugins import InstalledPlugin, Registry
    from materia.protocols import Provider

    from materia_runner.cli.output.price_table import Comparison
    from materia_runner.config.pipeline import Pipeline

TERMINAL = "terminal"
ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}


class ChartCommand(Command):
    """A command whose `--chart` takes an optional value, which Typer does not support."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give a bare `--chart` the value `terminal`."""
        given = []
        for number, argument in enumerate(args):
            following = args[number + 1] if number + 1 < len(args) else "-"
            bare = argument == "--chart" and following.startswith("-")
            given.append(f"--chart={TERMINAL}" if bare else argument)
        return list(super().parse_args(ctx, given))


def _architecture(text: str) -> str:
    if text.lower() not in ARCHITECTURES:
        raise typer.BadParameter(f"{text!r} is neither x86_64 nor arm64")
    return ARCHITECTURES[text.lower()]


def _currency(text: str) -> str:
    from materia_runner.config.table import is_currency

    if not is_currency(text.upper()):
        raise typer.BadParameter(f"{text!r} is not a currency code, like EUR or USD")
    return text.upper()


Vcpus = Annotated[
    int | None, typer.Option("--vcpus", min=1, metavar="N", help="vCPUs (threads), at least.")
]
Memory = Annotated[
    Decimal | None,
    typer.Option("--memory", parser=size_gib, metavar="SIZE", help="Memory, at least: 8, 16GiB."),
]
Disk = Annotated[
    Decimal | None,
    typer.Option("--disk", parser=size_gib, metavar="SIZE", help="Disk, at least: 40, 100GB."),
]
Arch = Annotated[
    list[str] | None,
    typer.Option("--arch", parser=_architecture, metavar="NAME", help="x86_64 or arm64."),
]
Duration = Annotated[
    timedelta | None,
    typer.Option(
        "--duration",
        parser=duration,
        metavar="TIME",
        help="How long the machine exists, boot included: 10m, 1h30m.",
    ),
]
Egress = Annotated[
    Decimal | None,
    typer.Option("--egress", parser=size_gib, metavar="SIZE", help="Traffic out of the provider."),
]
Region = Annotated[
    list[str] | None,
    typer.Option("--region", metavar="NAME", help="Only in this region; may be repeated."),
]
Dedicated = Annotated[
    bool | None,
    typer.Option("--dedicated/--shared", help="Dedicated vCPUs only, or shared ones too."),
]
Names = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        metavar="NAME[,NAME...]",
        autocompletion=complete_provider,
        help="Ask only these providers (default: all that rent machines).",
    ),
]
Currency = Annotated[
    str | None,
    typer.Option(
        "--currency", parser=_currency, metavar="CODE", help="Compare in this currency: EUR."
    ),
]
Limit = Annotated[
    int, typer.Option("--limit", min=1, metavar="N", help="Show at most N types of each provider.")
]
All = Annotated[
    bool, typer.Option("--all", help="Show every offer, and why offers were passed over.")
]
Refresh = Annotated[
    bool, typer.Option("--refresh", help="Ask the providers again, even if cached prices are new.")
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Use cached prices only, and show how old they are.")
]
Timeout = Annotated[
    timedelta | None,
    typer.Option(
        "--timeout",
        parser=duration,
        metavar="TIME",
        help="Wait at most this long for each provider (default: 20s).",
    ),
]
Chart = Annotated[
    str | None,
    typer.Option(
        "--chart",
        metavar="[FILE]",
        help="Draw cost against duration in the terminal, or into FILE (.svg, .png, .pdf).",
    ),
]

EPILOG = """\
\b
Without options it compares machines for the stages of the pipeline (materia.toml). The
cost includes rounding of time, address, boot disk, traffic and monthly cap. Amounts are
net of VAT. An offer in another currency needs an exchange rate in materia.toml:
  [currency.rates.USD]
  worth = "0.8654"
  date = 2026-11-20

\b
Examples:
  materia providers price
  materia providers price --vcpus 4 --memory 16 --duration 25m --arch x86_64
  materia providers price --duration 3h --chart
  materia providers price --offline --json

Prices are cached for an hour, in materia/prices in the user's cache folder.
"""


def price(
    context: typer.Context,
    *,
    vcpus: Vcpus = None,
    memory: Memory = None,
    disk: Disk = None,
    arch: Arch = None,
    duration: Duration = None,
    egress: Egress = None,
    region: Region = None,
    dedicated: Dedicated = None,
    provider: Names = None,
    currency: Currency = None,
    limit: Limit = 3,
    everything: All = False,
    refresh: Refresh = False,
    offline: Offline = False,
    timeout: Timeout = None,
    chart: Chart = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Show what a stage would cost on each provider, best first."""
    from dataclasses import replace
    from datetime import UTC, datetime

    from materia.errors import NoOfferError

    from materia_runner.cli.output.price_table import as_json, as_text

    if refresh and offline:
        raise typer.BadParameter("give --refresh or --offline, not both")
    if chart not in {None, TERMINAL}:
        from materia_runner.cli.output.chart import check_target

        check_target(str(chart))
    registry = load_registry(context)
    warn_of_failures(registry)
    pipeline = load_pipeline(registry, config)
    exchange = pipeline.exchange if currency is None else replace(pipeline.exchange, shown=currency)
    pipeline = replace(pipeline, exchange=exchange)
    changes: dict[str, Any] = {
        "vcpus": vcpus,
        "memory_gib": memory,
        "disk_gib": None if disk is None else -int(-disk // 1),
        "architectures": tuple(dict.fromkeys(arch)) if arch else None,
        "expected": duration,
        "egress_gib": egress,
        "regions": split(region) or None,
        "dedicated": dedicated,
        "currency": exchange.shown,
    }
    needs = _needs(pipeline, {name: value for name, value in changes.items() if value is not None})
    now = datetime.now(UTC)
    chosen = _chosen(registry, split(provider))
    comparisons = _compare(
        chosen,
        needs,
        pipeline,
        os.environ if offline else load_environment(registry, pipeline, using=chosen),
        now=now,
        source="provider" if refresh else "cache" if offline else "any",
        timeout=timeout,
    )
    if not provider and not any(found.plugin.rents for found in registry.of_kind("provider")):
        from materia_runner.planning.available_offers import no_provider_rents

        echo(no_provider_rents(registry), err=True)
    rows = None if everything else limit
    if json:
        echo(to_json(as_json(comparisons, now=now, limit=rows)))
    else:
        echo("\n\n".join(as_text(one, limit=rows) for one in comparisons))
    if chart is not None and not (json and chart == TERMINAL):
        _draw(comparisons, pipeline, chart, quiet=json)
    empty = [one for one in comparisons if not one.ranking.quotes]
    if empty:
        names = " and ".join(one.name or "this" for one in empty)
        raise NoOfferError(f"no provider has an offer for {names}")


def split(given: Sequence[str] | None) -> tuple[str, ...]:
    """The names in `--option a,b --option c`."""
    return tuple(name for text in given or () for name in text.split(",") if name)


def _needs(pipeline: Pipeline, changes: dict[str, Any]) -> dict[Requirements, str]:
    """Each distinct requirement, with the names of the stages that have it."""
    from dataclasses import replace

    from materia_runner.planning.source_workers import planned_stages

    needs: dict[Requirements, str] = {}
    for stage in planned_stages(pipeline):
        wanted = replace(stage.requirements, **changes)
        needs[wanted] = f"{needs[wanted]} and {stage.name}" if wanted in needs else stage.name
    return needs


def _chosen(registry: Registry, names: Sequence[str]) -> list[InstalledPlugin[Provider]]:
    """The providers called *names*, or all that rent machines, or all."""
    if names:
        return [registry.provider(name) for name in dict.fromkeys(names)]
    found = {one.plugin.name for one in registry.of_kind("provider")}
    every = [registry.provider(name) for name in sorted(found)]
    return [one for one in every if one.plugin.rents] or every


def _compare(
    providers: Sequence[InstalledPlugin[Provider]],
    needs: dict[Requirements, str],
    pipeline: Pipeline,
    environment: Mapping[str, str],
    *,
    now: Any,
    source: Any,
    timeout: timedelta | None,
) -> list[Comparison]:
    from materia_runner.cli.output.price_table import Comparison
    from materia_runner.concurrency import PATIENCE
    from materia_runner.folders import prices_folder
    from materia_runner.pricing.offer_cache import Answer, PriceCache
    from materia_runner.pricing.offer_query import OfferQuery, ask_all
    from materia_runner.pricing.ranking import rank

    queries = [
        OfferQuery(
            found=found,
            requirements=requirements,
            settings=pipeline.settings["provider", found.plugin.name],
            directory=pipeline.directory,
        )
        for requirements in needs
        for found in providers
    ]
    with Waiting() as waiting:
        asked = ask_all(
            queries,
            environment,
            cache=PriceCache(prices_folder(os.environ)),
            now=now,
            source=source,
            patience=timeout or PATIENCE,
            waiting=waiting.show,
        )
    comparisons = []
    for requirements, name in needs.items():
        given = tuple(
            answer
            for query, answer in zip(queries, asked.given, strict=True)
            if query.requirements is requirements
        )
        offers = [offer for one in given if isinstance(one, Answer) for offer in one.offers]
        ranking = rank(offers, requirements, start=now, exchange=pipeline.exchange)
        comparisons.append(
            Comparison(name=name, requirements=requirements, ranking=ranking, answers=given)
        )
    return comparisons


def _draw(
    comparisons: Sequence[Comparison], pipeline: Pipeline, target: str, *, quiet: bool
) -> None:
    from pathlib import Path

    from materia_runner.cli.output.chart import draw, leads_text, save
    from materia_runner.cli.output.price_table import needs_text
    from materia_runner.pricing.curve import cost_curves, sample_durations

    shown = [one for one in comparisons if one.ranking.quotes]
    for number, one in enumerate(shown):
        expected = one.requirements.expected
        durations = sample_durations(max(3 * expected, timedelta(hours=3)))
        curves = cost_curves(one.ranking.quotes, durations, pipeline.exchange)
        title = f"{one.name}: {needs_text(one.requirements)}"
        currency = pipeline.exchange.shown
        if target == TERMINAL:
            text = f"{draw(curves, title=one.name, currency=currency)}\n{leads_text(curves)}"
            echo(Whole(f"\n{text}"))
            continue
        path = Path(target)
        if number:  # one picture for each stage
            path = path.with_stem(f"{path.stem}-{one.name}")
        save(curves, path, title=title, currency=currency, mark=expected)
        if not quiet:
            echo(f"\n{leads_text(curves)}\nwrote the chart to {path}")
