"""Run a pipeline: plan, rent, run, destroy; plan again after a failed attempt (failover)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from materia.errors import BudgetError, MateriaError
from materia.plugins import Registry

from materia_runner.config.pipeline import Pipeline
from materia_runner.ledger.rows import RunRow
from materia_runner.ledger.run_record import new_run, recorded_run
from materia_runner.ledger.state import State
from materia_runner.messages.events import Event, Observe
from materia_runner.planning.available_offers import AvailableOffers, collect_offers, refuse_folders
from materia_runner.planning.budget import check
from materia_runner.planning.plan import Plan
from materia_runner.planning.plan_run import Planned
from materia_runner.rental.cost_meter import CostMeter, month_so_far
from materia_runner.run.context import RunContext
from materia_runner.run.lease import hold_lease, release_lease
from materia_runner.run.ledger_copy import copied_ledger, copy_ledger
from materia_runner.run.placement import artifacts_of
from materia_runner.run.recorder import Recorder
from materia_runner.run.report import RunReport, StageReport
from materia_runner.run.sweeps import notice_of_sweeps, sweep_earlier_runs
from materia_runner.run.workers.attempts import Attempts
from materia_runner.secrets.redaction import all_to_hide
from materia_runner.signals import interrupts


def _unheard(_stage: str, _event: Event) -> None:
    """Ignore the event."""


def _approved(_planned: Planned) -> bool:
    """Approve the plan."""
    return True


class Approval:
    """A question that is asked once in a run, before its first machine is rented."""

    def __init__(self, ask: Callable[[Planned], bool]) -> None:
        self._ask = ask
        self._given = False

    def require(self, planned: Planned) -> None:
        """Ask, unless the run was approved before.

        Raises:
            BudgetError: the plan was declined.
        """
        if not self._given and not self._ask(planned):
            raise BudgetError("the plan was declined; no machine was rented")
        self._given = True


def run(
    pipeline: Pipeline,
    registry: Registry,
    environment: Mapping[str, str],
    *,
    state: State,
    everything: bool = False,
    bundled_only: bool = False,
    observe: Observe = _unheard,
    approve: Callable[[Planned], bool] = _approved,
) -> RunReport:
    """Run the stages one after the other, and stop at the first that fails.

    Partitions that cannot be used do not fail a stage: they are `problems` in its result. *approve*
    gets the plan before the first machine is rented, and not again when a machine fails.

    Raises:
        BudgetError: *approve* was false, or the plan exceeds a cap; no machine was rented for it.
        Interrupted: on SIGINT, SIGTERM or SIGHUP, after the clean-up.
        MateriaError: a stage failed, or could not start.
    """
    started = time.monotonic()
    identity = new_run(datetime.now(UTC))
    hidden = all_to_hide(environment, registry)
    with interrupts() as signals, state.hold(identity), state.ledger() as ledger:
        context = RunContext(
            run=identity,
            pipeline=pipeline,
            registry=registry,
            environment=environment,
            everything=everything,
            bundled_only=bundled_only,
            state=state,
            recorder=Recorder(identity, state=state, ledger=ledger, observe=observe, hidden=hidden),
            cost_meter=CostMeter(pipeline.exchange),
            signals=signals,
        )
        try:
            with recorded_run(ledger, _run_row(context), clean=context.recorder.clean):
                reports = _run_all(context, Approval(approve))
        finally:
            copy_ledger(context, alive=False)
            release_lease(context)
        total = context.cost_meter.total(datetime.now(UTC))
    with suppress(MateriaError):  # the next run removes what is old
        state.prune()
    return RunReport(
        run=identity,
        stages=tuple(reports),
        seconds=round(time.monotonic() - started, 3),
        sample=pipeline.sample,
        cost=total,
    )


def _run_row(context: RunContext) -> RunRow:
    pipeline = context.pipeline
    return RunRow(
        run=context.run,
        started_at=datetime.now(UTC),
        source=pipeline.reads,
        sink=pipeline.sink,
        providers=pipeline.providers or ("auto",),
        directory=str(pipeline.directory.absolute()),
        sample=pipeline.sample,
        max_cost=pipeline.budget.max_cost,
    )


def _run_all(context: RunContext, approval: Approval) -> list[StageReport]:
    pipeline = context.pipeline
    refuse_folders(pipeline, context.registry)
    context.recorder.doing("ask for offers", stage=pipeline.stages[0].name)
    available = collect_offers(pipeline, context.registry, context.environment)
    if pipeline.sample and available.providers.keys() <= available.owned:
        return _run_stages(context, available, approval)
    with copied_ledger(context):
        return _run_stages(context, available, approval)


def _run_stages(
    context: RunContext, available: AvailableOffers, approval: Approval
) -> list[StageReport]:
    sweep_earlier_runs(context, available)

    def before_renting(plan: Plan) -> None:
        _before_renting(context, plan, available, approval)

    attempts = Attempts(context, available, before_renting)
    attempts.go()
    return attempts.reports


def _before_renting(
    context: RunContext, plan: Plan, available: AvailableOffers, approval: Approval
) -> None:
    """Check the caps, ask for approval, take the lease, and prepare what would cost paid time.

    Raises:
        ArtifactError: an artifact cannot be built.
        BudgetError: the worst case exceeds a cap, or the plan was declined.
        BusyError: another process holds the database of the sink, or another run the lease.
        ConfigError: tables of a source would go that the user did not drop.
        PluginError: a source or the sink cannot be used.
    """
    context.check_plugins()
    _check_budget(context, plan)
    approval.require(
        Planned(plan=plan, unanswered=available.unanswered, left_out=available.left_out)
    )
    context.refuse_removed()
    context.pin()
    hold_lease(context, plan.placements)
    notice_of_sweeps(context)
    _make_ready(context, plan, available)


def _make_ready(context: RunContext, plan: Plan, available: AvailableOffers) -> None:
    """Lock the sink and build artifacts before a machine is rented: a failure then costs nothing.

    Raises:
        BusyError: another process holds the database of the sink.
        ArtifactError: an artifact cannot be built.
    """
    rented = [
        placement
        for placement in plan.placements
        if placement.chosen.offer.provider not in available.owned
    ]
    for placement in rented:
        artifacts_of(context, placement)
    names = [stage.name for placement in plan.placements for stage in placement.stages]
    # A stage on this machine opens the sink itself, and would find it locked by this process.
    if len(rented) == len(plan.placements) and "transform" in names:
        context.hold_sink()


def _check_budget(context: RunContext, plan: Plan) -> None:
    """Compare the plan's worst case with the caps, before a machine is rented.

    Raises:
        BudgetError: the worst case exceeds a cap.
    """
    now = datetime.now(UTC)
    check(
        context.pipeline.budget,
        worst=plan.worst,
        spent_in_run=context.cost_meter.total(now),
        month=month_so_far(context.recorder.ledger, context.pipeline.exchange, now),
        made_of=plan.worst_case,
    )
