"""Run a pipeline: plan, rent, run, destroy; plan again after a failed attempt (failover)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from materia.errors import (
    BudgetError,
    ConfigError,
    MateriaError,
    NoOfferError,
    OrphanError,
    OtherMachineError,
    ProviderError,
    ReadyTimeoutError,
    SourceError,
    WorkerLostError,
)
from materia.plugins import Registry

from materia_runner.config.pipeline import Pipeline, Stage
from materia_runner.ledger.rows import RunRow
from materia_runner.ledger.run_record import new_run, recorded_run
from materia_runner.ledger.state import State
from materia_runner.messages.events import Event, Observe
from materia_runner.planning.available_offers import AvailableOffers, collect_offers, refuse_folders
from materia_runner.planning.budget import check
from materia_runner.planning.explain import INSTEAD
from materia_runner.planning.plan import Placement, Plan
from materia_runner.planning.plan_run import Planned, experience, plan_now
from materia_runner.planning.remaining import Remaining
from materia_runner.rental.cost_meter import CostMeter, month_so_far
from materia_runner.rental.failover import Failover, FailoverNotices
from materia_runner.run.context import RunContext
from materia_runner.run.lease import hold_lease, release_lease
from materia_runner.run.ledger_copy import copied_ledger, copy_ledger
from materia_runner.run.placement import PlacementRun, artifacts_of
from materia_runner.run.plan_record import chosen_text, save_plan, say_left_out
from materia_runner.run.recorder import Recorder, meter_shown
from materia_runner.run.report import RunReport, StageReport
from materia_runner.run.sweeps import notice_of_sweeps, sweep_earlier_runs
from materia_runner.secrets.redaction import all_to_hide
from materia_runner.signals import interrupts

if TYPE_CHECKING:
    pass


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
    pipeline, recorder = context.pipeline, context.recorder
    sweep_earlier_runs(context, available)
    remaining = Remaining(pipeline, learnt=experience(pipeline, recorder.ledger))
    reports: list[StageReport] = []
    failover = Failover(offers=available.offers)
    with FailoverNotices(partial(recorder.say, warning=True)) as notices:
        number = 0
        while stages := remaining.stages():
            context.signals.let_through()
            plan = _plan(pipeline, stages, available, failover)
            say_left_out(context, available)
            placement = plan.placements[0]
            provider = placement.chosen.offer.provider
            owned = provider in available.owned
            if not number:
                save_plan(context, plan, available, owned=owned)
            if not owned:
                if (result := context.needs_no_machine(stages[0])) is not None:
                    recorder.say(stages[0].name, "nothing new to do; no machine is rented")
                    reports.append(_unrented(stages[0], result))
                    remaining.done(stages[0])
                    continue
                _before_renting(context, plan, available, approval)
            notices.tried()
            if not owned:
                recorder.say(placement.stages[0].name, chosen_text(placement))
            number += 1
            attempt = PlacementRun(context, placement, available.providers[provider], number=number)
            try:
                with meter_shown(recorder, context.cost_meter, placement.stages[0].name):
                    attempt.go(owned=owned)
            except OrphanError:
                raise
            except (ConfigError, ProviderError, WorkerLostError) as error:
                stage = placement.stages[min(len(attempt.reports), len(placement.stages) - 1)]
                next_try = _next_try(failover, error, attempt, stage=stage.label)
                notices.hold(stage.label, error, next_try)
            except SourceError as error:
                _go_on_without(remaining, error, attempt, placement, recorder)
            finally:
                reports += attempt.reports
                for stage in placement.stages[: len(attempt.reports)]:
                    remaining.done(stage)
    remaining.raise_failures()
    return reports


def _go_on_without(
    remaining: Remaining,
    error: SourceError,
    attempt: PlacementRun,
    placement: Placement,
    recorder: Recorder,
) -> None:
    """Go on to fetch the other sources, after a worker that had some of them.

    Raises:
        SourceError: *error*, when one worker had all sources, or a later stage failed.
    """
    failed = placement.stages[len(attempt.reports) :]
    if not failed or not remaining.failed(failed[0], error):
        raise error
    if remaining.stages():
        message = f"{error}; fetching the other sources"
        recorder.say(failed[0].name, message, warning=True)


def _next_try(
    failover: Failover,
    error: ConfigError | ProviderError | WorkerLostError,
    attempt: PlacementRun,
    *,
    stage: str,
) -> str:
    """Decide what to try after *error*, as a sentence.

    Raises:
        MateriaError: *error*, when nothing is left to try.
    """
    lost = attempt.reached and isinstance(error, ReadyTimeoutError)
    if isinstance(error, WorkerLostError) or lost:
        assert not isinstance(error, ConfigError)  # noqa: S101 -- as both lines above say
        return failover.learn_lost(error, stage)
    if isinstance(error, OtherMachineError):
        return failover.learn_other(error, attempt.offer)
    if attempt.reached:
        raise error  # not due to the offer
    return failover.learn(error, attempt.offer)


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
    hold_lease(context, plan)
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


def _unrented(stage: Stage, result: Mapping[str, object]) -> StageReport:
    return StageReport(stage=stage.name, provider="none", seconds=0.0, result=result)


def _plan(
    pipeline: Pipeline, stages: Sequence[Stage], available: AvailableOffers, failover: Failover
) -> Plan:
    try:
        return plan_now(pipeline, stages, available, excluded=failover.excluded)
    except NoOfferError as error:
        if not failover.reasons:
            raise
        head = f"no machine can run the stage {stages[0].name}"
        raise NoOfferError("\n  ".join([head, *failover.lines(), INSTEAD])) from error


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
