"""Find the cheapest plan: which stages share a machine, and which offer each machine uses. Pure.

Tries every way to cut the chain of stages into consecutive placements: the cost of a placement
depends on its start, and the start on how the stages before it are cut. The first stage may have
ways to share its sources among several workers (`source_workers.py`): each way is one more chain.
Its workers run side by side, and the stage after them has a machine of its own, as a machine that
waits for other workers would cost money meanwhile. `search.py` finds the machines of one cut by
dynamic programming over places.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from decimal import Decimal

from materia._dataclass import dataclass
from materia.compute import Money, Offer, Requirements
from materia.errors import NoOfferError
from materia.text import duration_text

from materia_runner.config.pipeline import Stage
from materia_runner.figures import money_text, unit_price_text
from materia_runner.planning.budget import worst_case
from materia_runner.planning.cuts import all_cuts, apart_count, different, source_workers
from materia_runner.planning.explain import INSTEAD, Cut, machine_text, names, reason_lines, sharing
from materia_runner.planning.search import (
    NOTHING,
    Arrival,
    Candidate,
    Chain,
    SourceWorker,
    added_by,
    arrival_from,
    candidates,
    cheapest,
    in_plan,
    join,
    rank_all,
)
from materia_runner.pricing.cost import Quote
from materia_runner.pricing.currency import Exchange
from materia_runner.pricing.ranking import PassedOver, Ranking, in_order, passed_over_order

# A machine exists at most for the deadlines of its stages plus these two: until it can be reached
# and has its artifact, and until it is verified gone.
BOOT_LIMIT = timedelta(minutes=10)
TEARDOWN_LIMIT = timedelta(minutes=10)
NOT_HAD = "this run tried it and could not rent it"


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class OfferKey:
    """Identifies an offer across requests."""

    provider: str
    region: str
    zone: str
    instance_type: str


def offer_key(offer: Offer) -> OfferKey:
    """The key of *offer*: the same after its price has changed."""
    return OfferKey(
        provider=offer.provider,
        region=offer.region,
        zone=offer.zone,
        instance_type=offer.instance_type,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Consecutive stages on one machine.

    Attributes:
        stages: The stages, in the order they run.
        requirements: Requirements of all stages together, and how long the machine is expected to
            exist.
        start: Expected time of its creation, in UTC.
        deadline: How long it may exist at most.
        ranking: The offers, ordered by the cost of the whole plan with each. A quote includes the
            traffic out of its machine; traffic to it is in the quote of the placement before.
        arrivals: Data that it reads from the placements before, one for each machine of them.
        worst: Cost of the chosen offer until the deadline, for any start.
    """

    stages: tuple[Stage, ...]
    requirements: Requirements
    start: datetime
    deadline: timedelta
    ranking: Ranking
    arrivals: tuple[Arrival, ...]
    worst: Money

    @property
    def chosen(self) -> Quote:
        """The quote to rent at."""
        return self.ranking.quotes[0]

    @property
    def arrival(self) -> Arrival | None:
        """The data that it reads from the placement before, when that is one; otherwise None."""
        return self.arrivals[0] if len(self.arrivals) == 1 else None

    def added(self, offer: Offer) -> Decimal | None:
        """Cost of moving its data to *offer*; None when that has no price."""
        return added_by(self.arrivals, offer)

    @property
    def name(self) -> str:
        """The names of its stages: `extract and transform`."""
        return names(self.stages)

    @property
    def worst_case(self) -> str:
        """The calculation of `worst`, in one line."""
        offer = self.chosen.offer
        return (
            f"{self.name}: {machine_text(offer)} at {unit_price_text(offer.hourly)} "
            f"{offer.hourly.currency}/h for at most {duration_text(self.deadline)}, in total "
            f"{money_text(self.worst)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """The best plan for another way to share machines.

    Attributes:
        sharing: Which stages share a machine, as text.
        machines: The offers, one for each placement; empty when there are none.
        total: Its expected cost, or None when it is not possible.
        reason: Why it is not possible, or empty.
    """

    sharing: str
    machines: tuple[str, ...] = ()
    total: Money | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Machines for all stages.

    Attributes:
        placements: The placements, in the order they run.
        total: Their expected cost, in the currency of the comparison.
        worst: Their worst-case cost, each until its hard deadline.
        why: One sentence: why these stages share a machine, or do not.
        alternatives: Other ways to share machines, the cheapest first. Of sources that could have
            several workers, the plans with one worker come first when the plan has several, and
            those with several when it has one.
    """

    placements: tuple[Placement, ...]
    total: Money
    worst: Money
    why: str
    alternatives: tuple[Alternative, ...] = ()

    @property
    def worst_case(self) -> tuple[str, ...]:
        """The calculation of `worst`, one line for each placement."""
        return tuple(placement.worst_case for placement in self.placements)


def make_plan(
    stages: Sequence[Stage],
    offers: Sequence[Offer],
    *,
    start: datetime,
    exchange: Exchange,
    excluded: AbstractSet[OfferKey] = frozenset(),
    apart: bool = False,
    owned: AbstractSet[str] = frozenset(),
    unanswered: Sequence[str] = (),
) -> Plan:
    """The plan with the least expected cost, of all ways to share machines and all offers.

    Of equal costs, the plan with the fewest machines wins; then the ranking of offers decides.
    Workers that share the sources start together, and any other placement at the expected end of
    those before it. To plan again in the middle of a run,
    pass the stages that are left.

    Args:
        stages: At least one stage, in the order they run.
        offers: Offers of all providers in use, in any order.
        start: Time when the first machine would be created, in UTC.
        exchange: The currency to compare in, and the rates.
        excluded: Offers that were tried and could not be rented.
        apart: Whether the first stage must have a machine of its own.
        owned: Names of providers whose machines already exist: never too small.
        unanswered: Reasons of providers without offers, a line each, for the error.

    Raises:
        NoOfferError: no offer fits a stage; the message has one line for each provider.
    """
    planning = _Planning(offers, start=start, exchange=exchange, excluded=excluded, owned=owned)
    ways = (cut for cut in all_cuts(tuple(stages)) if len(cut[0]) == 1 or not apart)
    found = {cut: planning.best(cut) for cut in ways}
    ordered = sorted(
        ((chain.amount, len(cut), cut, chain) for cut, chain in found.items() if chain),
        key=lambda one: (one[0], one[1]),
    )
    if not ordered:
        reasons = [*planning.nothing(tuple(stages)), *unanswered, INSTEAD]
        raise NoOfferError("\n  ".join(reasons))
    _, _, cut, chain = ordered[0]
    placements = planning.placements(cut, chain)
    compared: list[tuple[Cut, Chain | None]] = [(one, other) for _, _, one, other in ordered]
    compared += [(one, other) for one, other in found.items() if other is None]
    others = [planning.alternative(one, other) for one, other in different(compared, cut)]
    worst = sum((placement.worst.amount for placement in placements), Decimal(0))
    total = Money(chain.amount, exchange.shown)
    return Plan(
        placements=placements,
        total=total,
        worst=Money(worst, exchange.shown),
        why=_why(cut, total, others) + _beside(placements),
        alternatives=tuple(others),
    )


def _beside(placements: Sequence[Placement]) -> str:
    """That the workers of several sources run side by side, and how long all stages take."""
    if len(source_workers(tuple(placement.stages for placement in placements))) < 2:
        return ""
    ends = [one.start + one.requirements.expected for one in placements]
    length = duration_text(max(ends) - placements[0].start)
    return f"; the sources are fetched side by side, and all stages take {length}"


def _why(cut: Cut, total: Money, others: Sequence[Alternative]) -> str:
    if not others:
        return f"{sharing(cut)}, because it is the only stage"
    best = others[0]
    if best.total is None:
        return f"{sharing(cut)}, because no other plan is possible: {best.reason}"
    if best.total == total:
        which = "more" if len(best.machines) > len(cut) else "other"
        return f"{sharing(cut)}, because {which} machines would cost the same"
    return (
        f"{sharing(cut)}: expected cost {money_text(total)}, "
        f"instead of {money_text(best.total)} if {best.sharing}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """Some stages on one machine, from a given start."""

    needs: Requirements
    ranking: Ranking
    candidates: tuple[Candidate, ...]
    worker: SourceWorker


class _Planning:
    """The offers, and a cache of their rankings by stages and start."""

    def __init__(
        self,
        offers: Sequence[Offer],
        *,
        start: datetime,
        exchange: Exchange,
        excluded: AbstractSet[OfferKey],
        owned: AbstractSet[str],
    ) -> None:
        self._exchange = exchange
        self._start = start
        self._owned = owned
        tried = [offer for offer in offers if offer_key(offer) in excluded]
        self._offers = [offer for offer in offers if offer_key(offer) not in excluded]
        self._tried = tuple(PassedOver(offer=offer, reason=NOT_HAD) for offer in tried)
        self._spans: dict[tuple[tuple[Stage, ...], datetime], _Span | str] = {}

    def _span(self, stages: tuple[Stage, ...], start: datetime) -> _Span | str:
        if (stages, start) not in self._spans:
            self._spans[stages, start] = self._ranked(stages, start)
        return self._spans[stages, start]

    def _ranked(self, stages: tuple[Stage, ...], start: datetime) -> _Span | str:
        needs = join(stages)
        if isinstance(needs, str):
            return needs
        ranking = rank_all(
            self._offers, needs, start=start, exchange=self._exchange, owned=self._owned
        )
        found = candidates(ranking, stages[-1].output_gib, self._exchange)
        return _Span(needs=needs, ranking=ranking, candidates=found, worker=SourceWorker(found))

    def _spans_of(self, cut: Cut) -> list[_Span] | str:
        """A span for each placement, or the reason why no machine fits one of them."""
        spans: list[_Span] = []
        for number, stages in enumerate(cut):
            span = self._span(stages, self._begin(cut, spans, number))
            if isinstance(span, str):
                return f"{names(stages)}: {span}"
            if not span.candidates:
                return f"{names(stages)}: no offer fits"
            spans.append(span)
        return spans

    def _begin(self, cut: Cut, spans: Sequence[_Span], number: int) -> datetime:
        """When the placement of that number starts: workers of some sources start together."""
        apart = apart_count(cut)
        if number < apart:
            return self._start
        lengths = [span.needs.expected for span in spans[:number]]
        return self._start + max(lengths[:apart], default=NOTHING) + sum(lengths[apart:], NOTHING)

    def best(self, cut: Cut) -> Chain | None:
        spans = self._spans_of(cut)
        if isinstance(spans, str):
            return None
        apart = apart_count(cut)
        return cheapest(
            [span.candidates for span in spans[apart:]],
            [span.worker for span in spans[:apart]],
        )

    def alternative(self, cut: Cut, chain: Chain | None) -> Alternative:
        if chain is None:
            spans = self._spans_of(cut)
            reason = spans if isinstance(spans, str) else "their output cannot be moved"
            return Alternative(sharing=sharing(cut), reason=reason)
        return Alternative(
            sharing=sharing(cut),
            machines=tuple(machine_text(pick.quote.offer) for pick in chain.picks),
            total=Money(chain.amount, self._exchange.shown),
        )

    def nothing(self, stages: tuple[Stage, ...]) -> list[str]:
        """Why no plan is possible: the first stage without a machine, and each provider."""
        first, *later = stages
        stages = (*(first.ways[-1] if first.ways else (first,)), *later)
        for stage in stages:
            span = self._span((stage,), self._start)
            if isinstance(span, str) or span.candidates:
                continue
            passed = (*span.ranking.passed_over, *self._tried)
            return [f"no machine can run the stage {stage.label}", *reason_lines(passed)]
        return [f"no machines can run {names(stages)}: their output cannot be moved"]

    def placements(self, cut: Cut, chain: Chain) -> tuple[Placement, ...]:
        spans = self._spans_of(cut)
        if isinstance(spans, str):
            raise TypeError(f"a chain of no machines: {spans}")
        placements: list[Placement] = []
        arrivals: tuple[Arrival, ...] = ()
        places = [pick.place for pick in chain.picks]
        apart = apart_count(cut)
        for number, (stages, span, pick) in enumerate(zip(cut, spans, chain.picks, strict=True)):
            is_apart = number < apart  # its data goes past the other workers of its stage
            following = (*places, None)[apart if is_apart else number + 1]
            found = in_plan(
                span.candidates,
                pick,
                arrivals=() if is_apart else arrivals,
                following=following,
            )
            passed_over = (*found.passed_over, *span.ranking.passed_over, *self._tried)
            ranking = Ranking(
                quotes=found.quotes, passed_over=in_order(passed_over, passed_over_order)
            )
            chosen = ranking.quotes[0]
            deadline = sum((stage.deadline for stage in stages), BOOT_LIMIT + TEARDOWN_LIMIT)
            worst = worst_case(chosen.offer, deadline, chosen.egress_gib)
            placements.append(
                Placement(
                    stages=stages,
                    requirements=span.needs,
                    start=self._begin(cut, spans, number),
                    deadline=deadline,
                    ranking=ranking,
                    arrivals=() if is_apart else arrivals,
                    worst=self._exchange.convert(worst.cost)[0],
                )
            )
            arrival = arrival_from(pick, stages[-1].output_gib)
            its = () if arrival is None else (arrival,)
            arrivals = (*arrivals, *its) if is_apart else its
        return tuple(placements)
