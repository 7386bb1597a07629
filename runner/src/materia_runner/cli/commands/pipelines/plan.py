"""`materia plan`: which machines a run would rent, and why."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

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
the exit code is 4. Nothing is rented, created or run.
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
    """Show which machines a run would rent, and why."""
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
    """
    import os
    from datetime import UTC, datetime

    from materia.compute import Money

    from materia_runner.cli.output.plan_table import Shown, as_json, as_text
    from materia_runner.config.sample import sampled
    from materia_runner.folders import state_folder
    from materia_runner.ledger.state import State
    from materia_runner.planning.budget import check
    from materia_runner.rental.cost_meter import month_so_far
    from materia_runner.run import runner

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
        planned = runner.plan_run(pipeline, registry, environment, ledger=ledger)
        month = month_so_far(ledger, exchange, datetime.now(UTC)) if budget.monthly else None
    found = planned.plan
    shown = Shown(
        plan=found,
        unanswered=planned.unanswered,
        budget=budget,
        month=month,
        left_out=planned.left_out,
    )
    echo(to_json(as_json(shown)) if json else as_text(shown))
    nothing = Money(Decimal(0), exchange.shown)
    check(
        budget,
        worst=found.worst,
        spent_in_run=nothing,
        month=month or nothing,
        made_of=found.worst_case,
    )


app = command_app("plan", plan, epilog=EPILOG)
