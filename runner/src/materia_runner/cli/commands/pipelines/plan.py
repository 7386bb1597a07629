"""`materia plan`: which machines a run would rent, and why."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from materia_runner.cli.context import (
    file_named,
    load_environment,
    load_pipeline,
    load_registry,
    to_json,
    warn_of_failures,
)
from materia_runner.cli.echo import echo
from materia_runner.cli.fast_typer import command_app
from materia_runner.cli.options import (
    Config,
    Json,
    MaxCost,
    ProviderName,
    Sample,
    SourceNames,
)

if TYPE_CHECKING:
    from materia.plugins import Registry

    from materia_runner.config.pipeline import Pipeline
    from materia_runner.planning.changed_models import ReleasedModels
    from materia_runner.planning.plan import Plan

EPILOG = """\
\b
Examples:
  materia plan --provider auto             all rental providers with credentials
  materia plan --provider hetzner,oracle   these two
  materia plan --provider auto --max-cost 0.50
  materia plan --json | jq .worst

\b
For each machine it shows the best offers with the full cost of the stages on them, the
choice, and why other offers were passed over. Stages share a machine where that is
cheaper; the cost of moving data between places is included. The duration of a stage is
learnt from earlier runs, unless materia.toml sets it ([stages.<name>] minutes). The
worst case is the price of every machine until its hard deadline; when it exceeds a cap,
the exit code is 4.

\b
When models differ from those of the published tables, it shows what SQLMesh would
rebuild, before any reader sees it. A model that cannot be built makes the exit code 1.
Nothing is rented, created or run.
"""


def plan(
    context: typer.Context,
    *,
    sample: Sample = False,
    config: Config = None,
    provider: ProviderName = None,
    max_cost: MaxCost = None,
    source: SourceNames = None,
    json: Json = False,
) -> None:
    """Show which machines a run rents, and models it rebuilds."""
    show_plan(
        context,
        sample=sample,
        config=config,
        provider=provider,
        max_cost=max_cost,
        source=source,
        json=json,
    )


def show_plan(
    context: typer.Context,
    *,
    sample: bool,
    config: Path | None,
    provider: str | None,
    max_cost: Decimal | None,
    source: list[str] | None,
    json: bool,
) -> None:
    """Print the plan of a run.

    Raises:
        BudgetError: the run would be refused; raised after the plan is printed.
        NoOfferError: no offer fits a stage.
        StageError: a changed model cannot be built; raised after the plan is printed.
    """
    import os
    from datetime import UTC, datetime

    from materia.compute import Money
    from materia.errors import MateriaError, StageError

    from materia_runner.cli.output.plan_table import Shown, as_json, as_text
    from materia_runner.cli.output.waiting import Waiting
    from materia_runner.config.sample import sampled
    from materia_runner.folders import state_folder
    from materia_runner.ledger.state import State
    from materia_runner.planning.budget import check
    from materia_runner.planning.changed_models import ChangedModels, changed_models
    from materia_runner.planning.plan_run import plan_run

    registry = load_registry(context)
    warn_of_failures(registry)
    pipeline = load_pipeline(
        registry,
        config,
        provider=provider,
        max_cost=max_cost,
        only=source or (),
    )
    if sample:
        pipeline = sampled(pipeline, registry)
    environment = load_environment(registry, pipeline)
    exchange, budget = pipeline.exchange, pipeline.budget
    with file_named(pipeline), State(state_folder(os.environ)).ledger() as ledger:
        planned = plan_run(pipeline, registry, environment, ledger=ledger)
        month = None
        if budget.monthly:
            from materia_runner.rental.cost_meter import month_so_far

            month = month_so_far(ledger, exchange, datetime.now(UTC))
        wrong, models = None, None
        with Waiting() as line:
            try:
                models = changed_models(
                    pipeline,
                    registry,
                    environment,
                    released=released_models(pipeline, registry, environment, planned.plan),
                    starting=lambda: line.show(["SQLMesh to plan the changed models"]),
                )
            except StageError as error:
                wrong = error
                models = ChangedModels(reason="a changed model cannot be built")
            except MateriaError as error:  # the channel cannot be read
                models = ChangedModels(reason=str(error))
    found = planned.plan
    shown = Shown(
        plan=found,
        unanswered=planned.unanswered,
        budget=budget,
        month=month,
        left_out=planned.left_out,
        models=models,
    )
    echo(to_json(as_json(shown)) if json else as_text(shown))
    if wrong is not None:
        raise wrong
    nothing = Money(Decimal(0), exchange.shown)
    check(
        budget,
        worst=found.worst,
        spent_in_run=nothing,
        month=month or nothing,
        made_of=found.worst_case,
    )


def released_models(
    pipeline: Pipeline, registry: Registry, environment: Mapping[str, str], found: Plan
) -> ReleasedModels | None:
    """The models of the channel's release, when the stage transform rents a machine.

    Raises:
        MateriaError: the channel cannot be read, or has no release that a run could use.
    """
    if pipeline.artifacts is None or pipeline.artifacts.channel is None:
        return None
    rented = any(
        stage.name == "transform"
        and registry.provider(placement.chosen.offer.provider).plugin.rents
        for placement in found.placements
        for stage in placement.stages
    )
    if not rented:
        return None
    from materia_runner.artifact.channel.pinned import pin
    from materia_runner.planning.changed_models import ReleasedModels

    pinned = pin(pipeline, registry, environment)
    if pinned is None:
        return None
    return ReleasedModels(
        fingerprint=pinned.release.models,
        where=f"the release {pinned.release.id} of {pinned.where}",
    )


app = command_app("plan", plan, epilog=EPILOG)
