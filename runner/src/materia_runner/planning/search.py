"""Search the cheapest machines for a chain of placements, with the cost of moving data. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import get_args

from materia._dataclass import dataclass
from materia.compute import Architecture, Money, Offer, Requirements
from materia.errors import ConfigError

from materia_runner.config.pipeline import Stage
from materia_runner.pricing.cost import Quote, cost, egress_lines
from materia_runner.pricing.currency import Exchange
from materia_runner.pricing.ranking import PassedOver, Ranking, in_order, quote_order, rank

# Time that a stage saves when its machine already runs. An estimate: a boot, a login and the
# unpacking of an artifact, at providers whose images boot in most of a minute.
BOOT = timedelta(minutes=1)
NOTHING = timedelta(0)

Place = tuple[str, str]


def place_of(offer: Offer) -> Place:
    """Provider and region of an offer: traffic within one place is free."""
    return (offer.provider, offer.region)


def join(stages: Sequence[Stage]) -> Requirements | str:
    """Requirements of one machine for all *stages*, or the reason why they cannot share one.

    Takes the maximum of each requirement, and the sum of the expected times less the saved boots.
    """
    first, *others = (stage.requirements for stage in stages)
    needs = first
    if not needs.architectures:
        return "the sources need different processors"
    for one in others:
        regions = _both(needs.regions, one.regions)
        needs = replace(
            needs,
            vcpus=max(needs.vcpus, one.vcpus),
            memory_gib=max(needs.memory_gib, one.memory_gib),
            disk_gib=max(needs.disk_gib, one.disk_gib),
            architectures=tuple(a for a in needs.architectures if a in one.architectures),
            dedicated=needs.dedicated or one.dedicated,
            regions=regions or (),
            expected=needs.expected + max(one.expected - BOOT, NOTHING),
            egress_gib=needs.egress_gib + one.egress_gib,
        )
        if not needs.architectures:
            return "the stages need different processors"
        if regions is None:
            return "the stages need different regions"
    return needs


def _both(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...] | None:
    """Regions in both, where no region means any; None when they share none."""
    if not one or not other:
        return one or other
    allowed = {region.casefold() for region in other}
    return tuple(region for region in one if region.casefold() in allowed) or None


def rank_all(
    offers: Iterable[Offer],
    needs: Requirements,
    *,
    start: datetime,
    exchange: Exchange,
    owned: AbstractSet[str],
) -> Ranking:
    """Rank offers like `rank`, but accept an *owned* machine of any size."""
    anything = replace(
        needs,
        vcpus=0,
        memory_gib=Decimal(0),
        disk_gib=0,
        architectures=get_args(Architecture),
        dedicated=False,
        regions=(),
    )
    split: tuple[list[Offer], list[Offer]] = ([], [])
    for offer in offers:
        split[offer.provider in owned].append(offer)
    rented, ours = (
        rank(some, wanted, start=start, exchange=exchange)
        for some, wanted in zip(split, (needs, anything), strict=True)
    )
    if not ours.quotes and not ours.passed_over:
        return rented
    return Ranking(
        quotes=in_order((*rented.quotes, *ours.quotes), quote_order),
        passed_over=(*rented.passed_over, *ours.passed_over),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An offer for one placement.

    Attributes:
        quote: Quote when the next placement is in the same place, or there is none.
        leaving: Quote when its output leaves the place; None when that has no price.
    """

    quote: Quote
    leaving: Quote | None

    @property
    def place(self) -> Place:
        """Its provider and region."""
        return place_of(self.quote.offer)

    def towards(self, place: Place | None) -> Quote | None:
        """The quote when the next placement is at *place*; a None place is no next placement."""
        return self.quote if place in {None, self.place} else self.leaving


def candidates(ranking: Ranking, output_gib: Decimal, exchange: Exchange) -> tuple[Candidate, ...]:
    """The offers of a ranking, each with a quote for *output_gib* leaving its place."""
    return tuple(
        Candidate(quote=quote, leaving=_leaving(quote, output_gib, exchange))
        for quote in ranking.quotes
    )


def _leaving(quote: Quote, output_gib: Decimal, exchange: Exchange) -> Quote | None:
    if not output_gib:
        return quote
    offer, egress_gib = quote.offer, quote.egress_gib + output_gib
    try:
        if quote.egress_gib:
            found = cost(offer, quote.duration, quote.start, egress_gib)
        else:  # only the traffic has to be added
            traffic = egress_lines(offer, egress_gib)
            amount = quote.cost.amount + sum(line.amount.amount for line in traffic)
            found = replace(
                quote,
                egress_gib=egress_gib,
                lines=(*quote.lines, *traffic),
                cost=Money(amount, quote.cost.currency),
            )
        shown, rates = exchange.convert(found.cost)
    except (ConfigError, ValueError):
        return None
    return replace(found, shown=shown, rates=rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Machines for some placements up to the last one.

    Attributes:
        amount: Their cost, in the currency of the comparison.
        order: Sort key of chains of equal cost.
        picks: One candidate for each placement.
    """

    amount: Decimal
    order: tuple[tuple[object, ...], ...]
    picks: tuple[Candidate, ...]

    @property
    def key(self) -> tuple[Decimal, tuple[tuple[object, ...], ...]]:
        """Sort key: the least is the best."""
        return (self.amount, self.order)


def cheapest(
    placements: Sequence[Sequence[Candidate]], before: Sequence[SourceWorker] = ()
) -> Chain | None:
    """The cheapest choice of one candidate for each placement, or None when there is no choice.

    Args:
        placements: Candidates of placements, each of which reads what the one before it writes.
        before: Placements before them, which all write for the first of *placements*.
    """
    nothing = Chain(amount=Decimal(0), order=(), picks=())
    following: Mapping[Place | None, Chain] = {None: nothing}
    for choices in reversed(placements):
        best: dict[Place | None, Chain] = {}
        for candidate in choices:
            for chain in _continuations(candidate, following):
                known = best.get(candidate.place)
                if known is None or chain.key < known.key:
                    best[candidate.place] = chain
        # Best first: a chain that leaves a place continues at the first other one.
        following = dict(sorted(best.items(), key=lambda item: item[1].key))
    for worker in reversed(before):
        following = {
            place: _chain(candidate, place, rest)
            for place, rest in following.items()
            for candidate in worker.best(place)
        }
    return min(following.values(), key=lambda chain: chain.key, default=None)


class SourceWorker:
    """The candidates of a worker that fetches some sources, each with the place of its output."""

    def __init__(self, choices: Sequence[Candidate]) -> None:
        inside = sorted(choices, key=lambda one: quote_order(one.quote))
        self._staying = {one.place: one for one in reversed(inside)}
        self._first = inside[:1]
        priced = [(quote_order(one.leaving), one) for one in choices if one.leaving is not None]
        leaving = [one for _, one in sorted(priced, key=lambda pair: pair[0])]
        # The best, and the best of another place, which serves the place of the first.
        others = (one for one in leaving if one.place != leaving[0].place)
        self._leaving = [*leaving[:1], *islice(others, 1)]

    def best(self, place: Place | None) -> Sequence[Candidate]:
        """The best candidate when its output is read at *place*, or nowhere; or none."""
        if place is None:
            return self._first
        some = [one for one in self._leaving if one.place != place][:1]
        some += [self._staying[place]] if place in self._staying else []
        return sorted(some, key=lambda one: quote_order(_towards(one, place)))[:1]


def _towards(candidate: Candidate, place: Place | None) -> Quote:
    quote = candidate.towards(place)
    if quote is None:
        raise TypeError("a candidate without a price to leave was chosen to leave")
    return quote


def _chain(candidate: Candidate, place: Place | None, rest: Chain) -> Chain:
    quote = _towards(candidate, place)
    return Chain(
        amount=quote.shown.amount + rest.amount,
        order=(quote_order(quote)[1:], *rest.order),
        picks=(candidate, *rest.picks),
    )


def _continuations(candidate: Candidate, following: Mapping[Place | None, Chain]) -> list[Chain]:
    """Chains of the candidate with the best rest in its own place, and in another place."""
    ours = (None, candidate.place)
    places = [place for place in ours if place in following]
    # `following` is sorted: the first other place is the best one.
    places += islice((place for place in following if place not in ours), 1)
    return [
        _chain(candidate, place, following[place])
        for place in places
        if candidate.towards(place) is not None
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """The data that a placement reads from the one before.

    Attributes:
        place: Provider and region of the data.
        gib: Size of the data.
        cost: Cost of moving it elsewhere, billed to the machine it comes from; None when that has
            no price.
    """

    place: Place
    gib: Decimal
    cost: Money | None

    def added(self, offer: Offer) -> Decimal | None:
        """Cost of moving the data to *offer*; None when that has no price."""
        if place_of(offer) == self.place:
            return Decimal(0)
        return None if self.cost is None else self.cost.amount


def arrival_from(pick: Candidate, output_gib: Decimal) -> Arrival | None:
    """Data that the placement after *pick* reads, or None for nothing."""
    if not output_gib:
        return None
    moving = None
    if pick.leaving is not None:
        amount = pick.leaving.shown.amount - pick.quote.shown.amount
        moving = Money(amount, pick.quote.shown.currency)
    return Arrival(place=pick.place, gib=output_gib, cost=moving)


def added_by(arrivals: Sequence[Arrival], offer: Offer) -> Decimal | None:
    """Cost of moving all *arrivals* to *offer*; None when one of them has no price."""
    costs = [arrival.added(offer) for arrival in arrivals]
    known = [one for one in costs if one is not None]
    return sum(known, Decimal(0)) if len(known) == len(costs) else None


def in_plan(
    choices: Sequence[Candidate],
    pick: Candidate,
    *,
    arrivals: Sequence[Arrival],
    following: Place | None,
) -> Ranking:
    """A placement's offers by the cost of the whole plan with each, other machines unchanged."""
    priced = []
    passed_over = []
    for one in choices:
        quote = one.towards(following)
        added = added_by(arrivals, one.quote.offer)
        if quote is None or added is None:
            reason = "no price is known for moving data between it and the other machines"
            passed_over.append(PassedOver(offer=one.quote.offer, reason=reason))
            continue
        amount = quote.shown.amount + added
        priced.append(((one is not pick, amount, *quote_order(quote)[1:]), quote))
    quotes = tuple(quote for _, quote in in_order(priced, lambda pair: pair[0]))
    return Ranking(quotes=quotes, passed_over=tuple(passed_over))
