"""`materia worker create`: rent the cheapest single machine that fits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from materia_runner.cli.commands.machines.price import (
    Arch,
    Dedicated,
    Disk,
    Memory,
    Names,
    Region,
    Vcpus,
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
from materia_runner.cli.options import Config, Json
from materia_runner.cli.output.waiting import Waiting

if TYPE_CHECKING:
    from materia.compute import Architecture
    from materia.plugins import Registry

    from materia_runner.pricing.cost import Quote
    from materia_runner.rental.manual_worker_files import Worker

VCPUS, MEMORY_GIB, DISK_GIB = 2, Decimal(4), 20
EPILOG = f"""\
\b
Without options: {VCPUS} vCPU, {MEMORY_GIB} GiB of memory and {DISK_GIB} GiB of disk, for an hour.
materia rents the cheapest machine on offer or, when that is sold out, the next one. Its
key and host key are created for it alone and kept in the state folder, where
`materia worker ssh` finds them. The machine is billed until it is destroyed. At its
deadline it powers off, which does not end the bill; any later `materia sweep` destroys it.

\b
Examples:
  materia worker create
  materia worker create big --vcpus 16 --memory 64 --minutes 180
  materia worker create --provider hetzner --arch arm64
"""

NewName = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME", help="Name of the worker (default: worker, worker-2, and so on)."
    ),
]
Minutes = Annotated[
    int,
    typer.Option(
        "--minutes",
        min=1,
        max=7 * 24 * 60,
        metavar="N",
        help="Minutes until its deadline; at most a week.",
    ),
]


def create(
    context: typer.Context,
    name: NewName = None,
    *,
    vcpus: Vcpus = None,
    memory: Memory = None,
    disk: Disk = None,
    arch: Arch = None,
    dedicated: Dedicated = None,
    region: Region = None,
    provider: Names = None,
    minutes: Minutes = 60,
    json: Json = False,
    config: Config = None,
) -> None:
    """Rent the cheapest machine that fits, and show how to log in."""
    from dataclasses import replace

    from materia.compute import Requirements
    from materia.errors import NoOfferError

    from materia_runner.config.pipeline import Stage
    from materia_runner.folders import state_folder
    from materia_runner.ledger.run_record import new_run
    from materia_runner.ledger.state import State
    from materia_runner.planning.available_offers import collect_offers, who_takes_part
    from materia_runner.planning.explain import reason_lines
    from materia_runner.pricing.ranking import rank
    from materia_runner.rental.manual_worker import STAGE, WorkerRequest, create_worker
    from materia_runner.secrets.redaction import all_to_hide

    registry = load_registry(context)
    warn_of_failures(registry)
    pipeline = load_pipeline(registry, config)
    lifetime = timedelta(minutes=minutes)
    needs = Requirements(
        vcpus=vcpus or VCPUS,
        memory_gib=memory or MEMORY_GIB,
        disk_gib=DISK_GIB if disk is None else -int(-disk // 1),
        expected=lifetime,
        regions=split(region),
        dedicated=bool(dedicated),
        currency=pipeline.exchange.shown,
    )
    if arch:
        wanted = cast("list[Architecture]", arch)  # the option's parser lets nothing else through
        needs = replace(needs, architectures=tuple(dict.fromkeys(wanted)))
    pipeline = replace(
        pipeline,
        providers=_renting(registry, split(provider) or pipeline.providers, named=bool(provider)),
        stages=(Stage(name=STAGE, requirements=needs, deadline=lifetime, output_gib=Decimal(0)),),
    )
    environment = load_environment(registry, pipeline, who_takes_part(pipeline, registry))
    state = State(state_folder(environment))
    with Waiting() as waiting:
        available = collect_offers(pipeline, registry, environment, waiting=waiting.show)
    for lacking in available.unanswered:
        echo(f"materia: left out: {lacking.reason}", err=True)
    for line in available.left_out:
        echo(f"materia: {line}", err=True)
    now = datetime.now(UTC)
    ranking = rank(available.offers, needs, start=now, exchange=pipeline.exchange)
    if not ranking.quotes:
        reasons = reason_lines(ranking.passed_over)
        raise NoOfferError("\n  ".join(["no machine on offer fits; ask for less", *reasons]))
    create_worker(
        WorkerRequest(
            run=new_run(now),
            name=name,
            lifetime=lifetime,
            directory=pipeline.directory.absolute(),
            budget=pipeline.budget,
            exchange=pipeline.exchange,
            hidden=all_to_hide(environment, registry),
        ),
        ranking.quotes,
        available.providers,
        state=state,
        say=lambda text: echo(f"materia: {text}", err=True),
        announce=partial(_announce, json=json),
    )


def _announce(worker: Worker, quote: Quote, *, json: bool) -> None:
    echo(to_json(_json_of_worker(worker, quote)) if json else _made_text(worker, quote))


def _renting(registry: Registry, names: Sequence[str], *, named: bool) -> tuple[str, ...]:
    """Providers in *names* that rent machines; none means all that do.

    Raises:
        ConfigError: a provider named on the command line rents no machines.
        NoOfferError: no installed provider rents machines.
    """
    from materia.errors import ConfigError, NoOfferError
    from materia.text import together

    from materia_runner.planning.available_offers import no_provider_rents

    renting = tuple(name for name in names if registry.provider(name).plugin.rents)
    if named and (others := sorted(set(names) - set(renting))):
        raise ConfigError(
            f"cannot create a worker: {together(others)} "
            f"{'rents' if len(others) == 1 else 'rent'} no machines; name another --provider"
        )
    if not any(one.plugin.rents for one in registry.of_kind("provider")):
        raise NoOfferError(no_provider_rents(registry))
    return renting


def _made_text(worker: Worker, quote: Quote) -> str:
    from materia_runner.figures import moment_text, money_text

    offer = quote.offer
    until = "" if worker.expires_at is None else f"{moment_text(worker.expires_at)} UTC"
    return (
        f"{worker.name} is ready: {offer.provider} {offer.instance_type} in {worker.region}, "
        f"{offer.vcpus} vCPU, {offer.memory_gib:f} GiB, {offer.architecture}, at {worker.host}\n"
        f"{money_text(quote.cost)} until its deadline at {until}\n"
        f"  materia worker ssh {worker.name}\n"
        f"  materia worker destroy {worker.name}"
    )


def _json_of_worker(worker: Worker, quote: Quote) -> dict[str, Any]:
    from dataclasses import asdict

    values = asdict(worker)
    instance = values.pop("machine")
    return {
        **values,
        "instance": instance,
        "expires_at": worker.expires_at and worker.expires_at.isoformat(),
        "cost": {"amount": f"{quote.cost.amount:f}", "currency": quote.cost.currency},
    }
