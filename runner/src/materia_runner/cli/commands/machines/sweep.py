"""`materia sweep`: destroy orphaned machines that runs left behind, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from materia_runner.cli.commands.machines.price import split
from materia_runner.cli.commands.machines.shared_ledger import shared_ledger
from materia_runner.cli.context import load_pipeline, load_registry, to_json
from materia_runner.cli.echo import echo
from materia_runner.cli.fast_typer import command_app
from materia_runner.cli.notified import LastLines, notified, webhook_environment
from materia_runner.cli.options import Config, Json, complete_provider
from materia_runner.cli.output.waiting import Waiting

if TYPE_CHECKING:
    from datetime import datetime

    from materia.compute import Instance
    from materia.protocols import Provider

    from materia_runner.cli.provider_access import SkippedProvider
    from materia_runner.ledger.state import State
    from materia_runner.rental.sweep import KeptInstance, Orphan, Swept

EPILOG = """\
\b
The sweep destroys
  - machines of materia past their deadline, from any computer (a label has the deadline)
  - machines of a run that was started on this computer and is no longer alive
with their volumes, addresses and keys. It touches nothing else: neither machines of a
run that is alive, nor machines of another computer before their deadline, nor anything
that materia did not create.

\b
It needs only credentials, so it can run anywhere from cron:
  */15 * * * *  materia sweep --all-providers
It exits with 3 while something is left, and with 1 or 2 when it could not ask a
provider, a provider could not list everything, or the ledger cannot be read. Deadlines
are compared with the provider's own clock.

\b
Examples:
  materia sweep --dry-run           list what would be destroyed
  materia sweep                     the pipeline's providers, and those in the ledger
  materia sweep --all-providers     every provider whose credentials are set
"""

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="List what would be destroyed, and change nothing.")
]
AllProviders = Annotated[
    bool,
    typer.Option("--all-providers", help="Every installed provider whose credentials are set."),
]
Names = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        metavar="NAME[,NAME...]",
        autocompletion=complete_provider,
        help="Only these providers.",
    ),
]


def sweep(
    context: typer.Context,
    *,
    dry_run: DryRun = False,
    all_providers: AllProviders = False,
    provider: Names = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Destroy the machines that runs left behind.

    Their volumes, addresses and keys are destroyed with them.
    """
    names = split(provider)
    if names and all_providers:
        raise typer.BadParameter("give --provider or --all-providers, not both")
    registry = load_registry(context)
    pipeline = load_pipeline(registry, config)
    environment = webhook_environment("sweep", registry, pipeline)
    with (
        notified("sweep", pipeline, environment, trial=dry_run) as lines,
        shared_ledger(registry, pipeline, trial=dry_run, whole=not names),
    ):
        _sweep_all(
            context,
            config,
            names=names,
            all_providers=all_providers,
            dry_run=dry_run,
            json=json,
            lines=lines,
        )


def _sweep_all(
    context: typer.Context,
    config: Path | None,
    *,
    names: Sequence[str],
    all_providers: bool,
    dry_run: bool,
    json: bool,
    lines: LastLines,
) -> None:
    from materia_runner.cli.provider_access import ask, open_all
    from materia_runner.folders import state_folder
    from materia_runner.ledger.state import State
    from materia_runner.rental.sweep import Swept
    from materia_runner.signals import interrupts

    times: list[datetime] = []
    state = State(state_folder(os.environ))
    if all_providers:
        _need_one_that_rents(context)
    asked, skipped = open_all(context, config, state, names=names, every=all_providers)
    sweeps: list[Swept] = []
    with interrupts(), Waiting() as waiting:
        for one in asked:
            waiting.show([one.name])
            answer = ask(
                one, partial(_sweep, name=one.name, state=state, dry_run=dry_run, times=times)
            )
            if isinstance(answer, Swept):
                sweeps.append(answer)
            else:
                skipped.append(answer)
    for swept in sweeps:
        lines.add("\n".join((*as_text(swept), *swept.left.values(), *swept.unseen)))
    lines.add("\n".join(one.reason for one in skipped))
    _report(sweeps, skipped, dry_run=dry_run, json=json)
    code = exit_code(sweeps, skipped)
    if all_providers and times and not code and not dry_run:
        from materia_runner.rental.sweep_ledger import forget_unknown_runs

        forget_unknown_runs(state, now=min(times))
    if code:
        raise typer.Exit(code)


def _report(
    sweeps: list[Swept], skipped: list[SkippedProvider], *, dry_run: bool, json: bool
) -> None:
    if json:
        echo(to_json(as_json(sweeps, skipped, dry_run=dry_run)))
    else:
        _tell(sweeps)
    for lacking in skipped:
        word = "" if lacking.exit_code else "left out: "
        echo(f"materia: {word}{lacking.reason}", err=True)
    for swept in sweeps:
        if swept.remark:
            echo(f"materia: warning: {swept.remark}", err=True)
        for reason in (*swept.left.values(), *swept.unseen):
            echo(f"materia: {reason}", err=True)


def _sweep(
    provider: Provider, *, name: str, state: State, dry_run: bool, times: list[datetime]
) -> Swept:
    from materia_providers.clock import provider_time

    from materia_runner.rental.sweep import try_sweep

    time = provider_time(provider)
    times.append(time.now)
    if time.is_off:
        echo(f"materia: warning: {time.sentence(name)}", err=True)
    return try_sweep(provider, name=name, state=state, now=time.now, dry_run=dry_run)


def _need_one_that_rents(context: typer.Context) -> None:
    """Refuse to call nothing left behind where no provider can be asked.

    Raises:
        ConfigError: no installed provider rents machines.
    """
    from materia.errors import ConfigError

    from materia_runner.planning.available_offers import no_provider_rents

    registry = load_registry(context)
    if not any(one.plugin.rents for one in registry.of_kind("provider")):
        raise ConfigError(no_provider_rents(registry))


def _tell(sweeps: list[Swept]) -> None:
    for one in sweeps:
        for line in as_text(one):
            echo(line)


def exit_code(sweeps: list[Swept], skipped: list[SkippedProvider]) -> int:
    """3 while something is left, else 1 or 2 when something could not be checked, else 0."""
    from materia.errors import LedgerError, OrphanError, ProviderError

    if any(one.left for one in sweeps):
        return OrphanError.exit_code
    codes = [one.exit_code for one in skipped]
    codes += [LedgerError.exit_code for one in sweeps if one.remark]
    codes += [ProviderError.exit_code for one in sweeps if one.unseen]
    return max(codes, default=0)


def as_text(swept: Swept) -> list[str]:
    """Render the sweep of one provider, a line for each machine."""
    from materia_runner.figures import money_text

    lines = []
    for one in swept.found:
        instance = one.instance
        if instance.name in swept.left:
            done = "STILL THERE, and costs money:"
        elif swept.dry_run:
            done = "would destroy"
        else:
            done = "destroyed"
        cost = swept.costs.get(instance.name)
        paid = f"; it cost {money_text(cost)}" if cost else ""
        lines.append(f"{swept.provider}: {done} {_what(instance)}: {one.why}{paid}")
    lines += [
        f"{swept.provider}: {row.name} of a run that has ended no longer exists"
        for row in swept.vanished
    ]
    lines += [
        f"{swept.provider}: {row.name} was requested, and the provider does not list it; sweep "
        f"again after {_forgotten_at(row):%H:%M} UTC to be sure"
        for row in swept.pending
    ]
    lines += [_kept(swept.provider, one) for one in swept.kept if not one.alive]
    if lines:
        return lines
    where = " where it could be listed" if swept.unseen else ""
    alive = len(swept.kept)
    machines = "1 machine" if alive == 1 else f"{alive} machines"
    more = f"; kept {machines} of runs that are alive" if alive else ""
    return [f"{swept.provider}: nothing is left behind{where}{more}"]


def _kept(provider: str, one: KeptInstance) -> str:
    from materia_runner.figures import moment_text

    instance = one.instance
    return (
        f"{provider}: kept {_what(instance)}: its run was not started on this computer; its "
        f"deadline is {moment_text(instance.expires_at)} UTC"
    )


def as_json(
    sweeps: list[Swept], skipped: list[SkippedProvider], *, dry_run: bool
) -> dict[str, Any]:
    """The result of the sweep as JSON values."""
    return {
        "dry_run": dry_run,
        "instances": [_json_of(swept, one) for swept in sweeps for one in swept.found],
        "vanished": [row.name for swept in sweeps for row in swept.vanished],
        "pending": [row.name for swept in sweeps for row in swept.pending],
        "kept": [
            {
                "provider": swept.provider,
                "name": one.instance.name,
                "run": one.instance.run,
                "alive": one.alive,
                "expires_at": one.instance.expires_at.isoformat(),
            }
            for swept in sweeps
            for one in swept.kept
        ],
        "warnings": [swept.remark for swept in sweeps if swept.remark],
        "not_listed": [line for swept in sweeps for line in swept.unseen],
        "asked": [swept.provider for swept in sweeps],
        "skipped": [one.reason for one in skipped if not one.exit_code],
        "failed": [one.reason for one in skipped if one.exit_code],
    }


def _json_of(swept: Swept, one: Orphan) -> dict[str, Any]:
    from dataclasses import asdict

    instance = one.instance
    cost = swept.costs.get(instance.name)
    left = swept.left.get(instance.name)
    return {
        "provider": swept.provider,
        "name": instance.name,
        "id": instance.id,
        "run": instance.run,
        "stage": instance.stage,
        "region": instance.region,
        "instance_type": instance.instance_type,
        "created_at": instance.created_at and instance.created_at.isoformat(),
        "expires_at": instance.expires_at.isoformat(),
        "attached": [asdict(attached) for attached in instance.attached],
        "why": one.why,
        "destroyed": not swept.dry_run and left is None,
        "error": left,
        "cost": cost and {"amount": f"{cost.amount:f}", "currency": cost.currency},
    }


def _what(instance: Instance) -> str:
    kinds = [attached.kind for attached in instance.attached]
    parts = [instance.instance_type or "machine"] if instance.id else []
    parts += sorted(set(kinds), key=kinds.index)
    place = f" in {instance.region}" if instance.region else ""
    return f"{instance.name} ({', '.join(parts)}){place}"


def _forgotten_at(row: Any) -> Any:
    from materia_runner.rental.sweep_ledger import FORGOTTEN

    return (row.created_at or row.intended_at) + FORGOTTEN


app = command_app("sweep", sweep, epilog=EPILOG)
