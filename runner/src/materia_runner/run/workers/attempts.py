"""Attempt the stages of a run: plan, rent, run; after a failure plan again, until all is done.

Workers that have some of the sources each run side by side. When one of them fails because of its
machine, only its own sources are planned again. A source that cannot be fetched does not stop the
other workers; anything else that ends the run does.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

from materia.compute import Money
from materia.errors import (
    BudgetError,
    ConfigError,
    NoOfferError,
    OrphanError,
    OtherMachineError,
    ProviderError,
    ReadyTimeoutError,
    SourceError,
    WorkerLostError,
)

from materia_runner.config.pipeline import Stage
from materia_runner.planning.available_offers import AvailableOffers
from materia_runner.planning.budget import check
from materia_runner.planning.cuts import apart_count
from materia_runner.planning.explain import INSTEAD
from materia_runner.planning.plan import Placement, Plan
from materia_runner.planning.plan_run import experience, plan_now
from materia_runner.planning.remaining import Remaining
from materia_runner.rental.cost_meter import month_so_far
from materia_runner.rental.failover import Failover, FailoverNotices
from materia_runner.run.context import RunContext
from materia_runner.run.lease import hold_lease
from materia_runner.run.placement import PlacementRun
from materia_runner.run.plan_record import chosen_text, save_plan, say_left_out
from materia_runner.run.recorder import meter_shown
from materia_runner.run.report import StageReport
from materia_runner.run.workers.side_by_side import Ended, Workers, side_by_side


class Attempts:
    """The attempts of one run at its stages.

    Attributes:
        reports: Reports of the stages that are done.
    """

    def __init__(
        self,
        context: RunContext,
        available: AvailableOffers,
        before_renting: Callable[[Plan], None],
    ) -> None:
        """Attempt the stages of *context* on *available* offers.

        *before_renting* gets each plan for all that is left, before its first machine is rented.
        """
        self.reports: list[StageReport] = []
        self._context = context
        self._available = available
        self._before_renting = before_renting
        self._remaining = Remaining(
            context.pipeline, learnt=experience(context.pipeline, context.recorder.ledger)
        )
        self._failover = Failover(offers=available.offers)
        self._notices = FailoverNotices(partial(context.recorder.say, warning=True))
        self._numbers = itertools.count(1)
        self._planned = False

    def go(self) -> None:
        """Attempt all stages; the first that fails for good ends it.

        Raises:
            MateriaError: a stage failed, or could not start.
        """
        with self._notices:
            while stages := self._remaining.stages():
                self._context.signals.let_through()
                plan = self._plan(stages)
                say_left_out(self._context, self._available)
                owned = self._is_owned(plan.placements[0])
                if not self._planned:
                    save_plan(self._context, plan, self._available, owned=owned)
                if not owned:
                    if (result := self._context.needs_no_machine(stages[0])) is not None:
                        self._skip(stages[0], result)
                        continue
                    self._before_renting(plan)
                self._planned = True
                beside = self._beside(plan)
                if len(beside) > 1:
                    self._several(plan, beside)
                else:
                    self._one(plan.placements[0], owned=owned)
        self._remaining.raise_failures()

    def _plan(self, stages: Sequence[Stage], *, apart: bool = False) -> Plan:
        pipeline, excluded = self._context.pipeline, self._failover.excluded
        try:
            return plan_now(pipeline, stages, self._available, excluded=excluded, apart=apart)
        except NoOfferError as error:
            if not self._failover.reasons:
                raise
            head = f"no machine can run the stage {stages[0].label}"
            raise NoOfferError("\n  ".join([head, *self._failover.lines(), INSTEAD])) from error

    def _is_owned(self, placement: Placement) -> bool:
        return placement.chosen.offer.provider in self._available.owned

    def _skip(self, stage: Stage, result: Mapping[str, object]) -> None:
        self._context.recorder.say(stage.name, "nothing new to do; no machine is rented")
        self.reports.append(
            StageReport(stage=stage.name, provider="none", seconds=0.0, result=result)
        )
        self._remaining.done(stage)

    def _beside(self, plan: Plan) -> list[Placement]:
        """The rented machines of *plan* that fetch some of the sources each.

        On this machine one source is fetched after the other, as each of its workers opens the
        sink.
        """
        count = apart_count(tuple(one.stages for one in plan.placements))
        apart = plan.placements[:count]
        if self._is_owned(plan.placements[0]):
            return []
        return [one for one in apart if not self._is_owned(one)]

    def _one(self, placement: Placement, *, owned: bool) -> None:
        """Attempt the next placement alone."""
        context, first = self._context, placement.stages[0].name
        self._notices.tried()
        if not owned:
            context.recorder.say(first, chosen_text(placement))
        provider = self._available.providers[placement.chosen.offer.provider]
        attempt = PlacementRun(context, placement, provider, number=next(self._numbers))
        error: BaseException | None = None
        try:
            with meter_shown(context.recorder, context.cost_meter, first):
                attempt.go(owned=owned)
        except (ConfigError, ProviderError, WorkerLostError, SourceError) as failure:
            error = failure
            self._settle(Ended(attempt, failure))
        finally:
            if error is None:
                self._keep(attempt)

    def _several(self, plan: Plan, beside: Sequence[Placement]) -> None:
        """Attempt placements of some of the sources each, at the same time."""
        context = self._context
        before = list(self.reports)
        found: dict[str, list[StageReport]] = {one.stages[0].label: [] for one in beside}
        rest = [one for one in plan.placements if all(one is not other for other in beside)]
        later = [stage for one in rest for stage in one.stages]
        with (
            side_by_side(context) as workers,
            context.signals.released(),
            meter_shown(context.recorder, context.cost_meter, beside[0].stages[0].name),
        ):
            ready = [workers.prepare(one, number=next(self._numbers)) for one in beside]
            self._notices.tried()
            for placement, worker in zip(beside, ready, strict=True):
                context.recorder.say(placement.stages[0].label, chosen_text(placement))
                workers.start(worker)
            while workers.running:
                ended = workers.next_ended()
                found[ended.attempt.placement.stages[0].label] += ended.attempt.reports
                again = self._settle(ended)
                if again is not None:
                    self._retry_or_wait(again, workers, later)
        self.reports = [*before, *(one for some in found.values() for one in some)]

    def _retry_or_wait(self, stage: Stage, workers: Workers, later: Sequence[Stage]) -> None:
        """Attempt one worker's sources again now, or when the others have ended.

        They are paid for and go on. A cap may have room for another machine when it counts what
        they cost instead of their worst case.

        Raises:
            BudgetError: no other worker runs, and the worst case exceeds a cap.
            NoOfferError: no other worker runs, and no offer is left.
        """
        try:
            self._retry(stage, workers, later)
        except (BudgetError, NoOfferError) as error:
            if not workers.running:
                raise
            self._notices.tried()
            message = f"{error}\n  planned again when the other workers have ended"
            self._context.recorder.say(stage.label, message, warning=True)

    def _retry(self, stage: Stage, workers: Workers, later: Sequence[Stage]) -> None:
        """Attempt one worker's sources again on another machine, while the others go on.

        Raises:
            BudgetError: with what runs already, the worst case exceeds a cap.
            NoOfferError: no offer is left.
        """
        context = self._context
        placement, *rest = self._plan([stage, *later], apart=True).placements
        self._check_beside([placement, *rest], workers.running)
        hold_lease(context, [placement, *workers.running, *rest])
        worker = workers.prepare(placement, number=next(self._numbers))
        self._notices.tried()
        context.recorder.say(stage.label, chosen_text(placement))
        workers.start(worker)

    def _check_beside(self, new: Sequence[Placement], running: Sequence[Placement]) -> None:
        """Compare the caps with the worst case of *new* machines beside those that run.

        Raises:
            BudgetError: the worst case exceeds a cap.
        """
        context, now = self._context, datetime.now(UTC)
        budget, shown = context.pipeline.budget, context.pipeline.exchange.shown
        month = month_so_far(context.recorder.ledger, context.pipeline.exchange, now)

        def worst(placements: Sequence[Placement]) -> Money:
            return Money(sum((one.worst.amount for one in placements), Decimal(0)), shown)

        check(
            replace(budget, monthly=None),
            worst=worst([*new, *running]),
            spent_in_run=context.cost_meter.total(now, gone=True),
            month=month,
            made_of=[one.worst_case for one in (*new, *running)],
        )
        check(  # in the month, a machine that runs counts with its worst case already
            replace(budget, max_cost=None),
            worst=worst(new),
            spent_in_run=context.cost_meter.total(now),
            month=month,
            made_of=[one.worst_case for one in new],
        )

    def _keep(self, attempt: PlacementRun) -> None:
        """Keep the reports of an attempt, and leave out what it has done."""
        self.reports += attempt.reports
        for stage in attempt.placement.stages[: len(attempt.reports)]:
            self._remaining.done(stage)

    def _settle(self, ended: Ended) -> Stage | None:
        """Keep what an attempt did; returns its stage that is to be tried again, if any.

        Raises:
            MateriaError: its error, when that ends the run.
        """
        attempt, error = ended.attempt, ended.error
        self._keep(attempt)
        if error is None:
            return None
        stages = attempt.placement.stages
        failed = stages[min(len(attempt.reports), len(stages) - 1)]
        if isinstance(error, OrphanError):
            raise error
        if isinstance(error, ConfigError | ProviderError | WorkerLostError):
            self._notices.hold(failed.label, error, self._next_try(error, attempt, failed))
            return failed
        if isinstance(error, SourceError) and len(attempt.reports) < len(stages):
            self._go_on_without(failed, error)
            return None
        raise error

    def _go_on_without(self, stage: Stage, error: SourceError) -> None:
        """Go on to fetch the other sources, after a worker that had some of them.

        Raises:
            SourceError: *error*, when one worker had all sources, or a later stage failed.
        """
        if not self._remaining.failed(stage, error):
            raise error
        if self._remaining.stages():
            message = f"{error}; fetching the other sources"
            self._context.recorder.say(stage.label, message, warning=True)

    def _next_try(
        self,
        error: ConfigError | ProviderError | WorkerLostError,
        attempt: PlacementRun,
        stage: Stage,
    ) -> str:
        """Decide what to try after *error*, as a sentence.

        Raises:
            MateriaError: *error*, when nothing is left to try.
        """
        lost = attempt.reached and isinstance(error, ReadyTimeoutError)
        if isinstance(error, WorkerLostError) or lost:
            assert not isinstance(error, ConfigError)  # noqa: S101 -- as both lines above say
            return self._failover.learn_lost(error, stage.label)
        if isinstance(error, OtherMachineError):
            return self._failover.learn_other(error, attempt.offer)
        if attempt.reached:
            raise error  # not due to the offer
        return self._failover.learn(error, attempt.offer)
