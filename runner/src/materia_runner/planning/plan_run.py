"""Plan of a run: ask for offers, and choose machines; imports nothing that rents or runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from materia._dataclass import dataclass

from materia_runner.config.pipeline import Pipeline, Stage
from materia_runner.planning.available_offers import AvailableOffers, collect_offers, refuse_folders
from materia_runner.planning.plan import OfferKey, Plan, make_plan
from materia_runner.planning.source_workers import Learnt, planned_stages
from materia_runner.pricing.offer_query import NoAnswer

if TYPE_CHECKING:
    from materia.plugins import Registry

    from materia_runner.ledger.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a run would do now.

    Attributes:
        plan: The machines of its stages.
        unanswered: Providers that sent no offers, with the reason.
        left_out: Invalid offers that were left out, a line each.
    """

    plan: Plan
    unanswered: tuple[NoAnswer, ...]
    left_out: tuple[str, ...] = ()


def plan_run(
    pipeline: Pipeline,
    registry: Registry,
    environment: Mapping[str, str],
    *,
    ledger: Ledger,
) -> Planned:
    """Plan what a run would do now: asks for offers, and creates nothing.

    Raises:
        NoOfferError: no provider can run a stage.
        MateriaError: the only provider raised it.
    """
    refuse_folders(pipeline, registry)
    available = collect_offers(pipeline, registry, environment)
    stages = planned_stages(pipeline, learnt=experience(pipeline, ledger))
    return Planned(
        plan=plan_now(pipeline, stages, available),
        unanswered=available.unanswered,
        left_out=available.left_out,
    )


def plan_now(
    pipeline: Pipeline,
    stages: Sequence[Stage],
    available: AvailableOffers,
    *,
    excluded: AbstractSet[OfferKey] = frozenset(),
    apart: bool = False,
) -> Plan:
    """The cheapest plan of *stages* for a run that starts now, without the *excluded* offers.

    With *apart*, the first stage has a machine of its own.

    Raises:
        NoOfferError: no provider can run a stage.
    """
    return make_plan(
        stages,
        available.offers,
        start=datetime.now(UTC),
        exchange=pipeline.exchange,
        excluded=excluded,
        apart=apart,
        owned=available.owned,
        unanswered=[*(one.reason for one in available.unanswered), *available.left_out],
    )


def experience(pipeline: Pipeline, ledger: Ledger) -> Learnt:
    """The durations of stages in earlier runs of the same sources; none for the sample."""

    def learnt(label: str) -> timedelta | None:
        return None if pipeline.sample else ledger.expected(pipeline.reads, label)

    return learnt
