"""What holds for the plan of any stages on any offers; the least is found by trying everything."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise, product

from hypothesis import given, settings
from hypothesis import strategies as st
from materia.compute import Offer
from materia.errors import NoOfferError
from materia.kit.fit import misfit
from materia_runner.config.pipeline import Stage
from materia_runner.planning.budget import worst_case
from materia_runner.planning.plan import OfferKey, Plan, make_plan, offer_key
from materia_runner.planning.search import BOOT
from materia_runner.pricing.cost import cost
from materia_runner.pricing.currency import Exchange, Rate
from strategies.offers import durations, offers
from strategies.stages import large_offers, stages

EXACT = Decimal("1e-15")
EXCHANGE = Exchange(rates=(Rate(currency="USD", worth=Decimal("0.9"), on=date(2026, 11, 20)),))
moments = st.datetimes(
    min_value=datetime(2026, 11, 1),  # noqa: DTZ001 -- hypothesis adds the time zone
    max_value=datetime(2027, 3, 1),  # noqa: DTZ001 -- as above
    timezones=st.just(UTC),
)
some_offers = st.lists(offers() | large_offers() | large_offers("USD"), max_size=5)
some_stages = st.lists(stages, min_size=1, max_size=3)
OWNED = frozenset({"cirrus"})


def ways_to_cut(chain: Sequence[Stage]) -> Iterator[list[Sequence[Stage]]]:
    for bits in product((False, True), repeat=len(chain) - 1):
        ends = [number + 1 for number, cut in enumerate(bits) if cut] + [len(chain)]
        begins = [0, *ends[:-1]]
        yield [chain[begin:end] for begin, end in zip(begins, ends, strict=True)]


def fits(offer: Offer, placement: Sequence[Stage], today: date) -> bool:
    if offer.provider in OWNED:
        return offer.availability not in {"unavailable", "no_quota"} and (
            offer.retires_on is None or offer.retires_on >= today
        )
    return all(misfit(offer, stage.requirements, today) is None for stage in placement)


def length(placement: Sequence[Stage]) -> timedelta:
    first, *others = (stage.requirements.expected for stage in placement)
    return first + sum((max(one - BOOT, timedelta(0)) for one in others), timedelta(0))


def cost_of(
    placements: Sequence[Sequence[Stage]], machines: Sequence[Offer], start: datetime
) -> Decimal | None:
    """What these machines cost for these placements; None when they cannot do it."""
    total = Decimal(0)
    for placement in placements:
        if not set.intersection(*(set(stage.requirements.architectures) for stage in placement)):
            return None
    for number, (placement, offer) in enumerate(zip(placements, machines, strict=True)):
        if not fits(offer, placement, start.date()):
            return None
        egress = sum((stage.requirements.egress_gib for stage in placement), Decimal(0))
        if number + 1 < len(placements):
            following = machines[number + 1]
            if (following.provider, following.region) != (offer.provider, offer.region):
                egress += placement[-1].output_gib
        try:
            quote = cost(offer, length(placement), start, egress)
        except ValueError:  # no price for so much traffic
            return None
        total += EXCHANGE.convert(quote.cost)[0].amount
        start += length(placement)
    return total


def least(chain: Sequence[Stage], some: Sequence[Offer], start: datetime) -> Decimal | None:
    """By trying every cut with every choice of machines."""
    costs = [
        found
        for placements in ways_to_cut(chain)
        for machines in product(some, repeat=len(placements))
        if (found := cost_of(placements, machines, start)) is not None
    ]
    return min(costs, default=None)


def planned(chain: Sequence[Stage], some: Sequence[Offer], start: datetime) -> Plan | None:
    try:
        return make_plan(chain, some, start=start, exchange=EXCHANGE, owned=OWNED)
    except NoOfferError:
        return None


@settings(max_examples=60, deadline=None)
@given(some_stages, some_offers, moments)
def test_no_cut_and_no_choice_of_machines_is_cheaper(
    chain: list[Stage], some: list[Offer], start: datetime
) -> None:
    found = planned(chain, some, start)
    best = least(chain, some, start)

    if found is None:
        assert best is None
        return
    assert best is not None
    assert abs(found.total.amount - best) < EXACT
    own = cost_of(
        [placement.stages for placement in found.placements],
        [placement.chosen.offer for placement in found.placements],
        start,
    )
    assert own is not None
    assert abs(found.total.amount - own) < EXACT
    assert [stage for placement in found.placements for stage in placement.stages] == chain


@settings(max_examples=25, deadline=None)
@given(some_stages, some_offers, moments, st.randoms(use_true_random=False))
def test_the_order_of_the_offers_does_not_matter(
    chain: list[Stage], some: list[Offer], start: datetime, chance: random.Random
) -> None:
    shuffled = list(some)
    chance.shuffle(shuffled)

    assert planned(chain, shuffled, start) == planned(chain, some, start)


@settings(max_examples=25, deadline=None)
@given(some_stages, some_offers, moments)
def test_every_offer_is_in_the_ranking_of_every_leg_or_passed_over(
    chain: list[Stage], some: list[Offer], start: datetime
) -> None:
    found = planned(chain, some, start)
    for placement in found.placements if found else ():
        ranked = [quote.offer for quote in placement.ranking.quotes]
        passed = [one.offer for one in placement.ranking.passed_over]
        assert sorted(map(repr, ranked + passed)) == sorted(map(repr, some))
        arrival = placement.arrival
        added = [Decimal(0) if arrival is None else arrival.added(offer) for offer in ranked]
        makes_the_plan = [
            quote.shown.amount + more
            for quote, more in zip(placement.ranking.quotes, added, strict=True)
            if more is not None
        ]
        assert len(makes_the_plan) == len(ranked)
        assert all(one <= other + EXACT for one, other in pairwise(makes_the_plan))


@settings(max_examples=25, deadline=None)
@given(some_stages, some_offers, moments)
def test_what_is_excluded_is_never_chosen_again(
    chain: list[Stage], some: list[Offer], start: datetime
) -> None:
    tried: set[OfferKey] = set()
    while (found := _again(chain, some, start, tried)) is not None:
        key = offer_key(found.placements[0].chosen.offer)
        assert key not in tried
        tried.add(key)
    assert len(tried) <= len(some)


def _again(
    chain: Sequence[Stage], some: Sequence[Offer], start: datetime, tried: set[OfferKey]
) -> Plan | None:
    try:
        return make_plan(
            chain, some, start=start, exchange=EXCHANGE, owned=OWNED, excluded=frozenset(tried)
        )
    except NoOfferError:
        return None


@settings(deadline=None)
@given(offers(), durations(), durations(), moments)
def test_nothing_shorter_costs_more_than_the_worst_case_whenever_it_starts(
    offer: Offer, one: timedelta, other: timedelta, start: datetime
) -> None:
    short, longest = sorted((one, other))

    assert cost(offer, short, start).cost.amount <= worst_case(offer, longest).cost.amount + EXACT


@settings(max_examples=25, deadline=None)
@given(some_stages, some_offers, moments)
def test_the_worst_is_never_less_than_what_is_expected(
    chain: list[Stage], some: list[Offer], start: datetime
) -> None:
    enough = [
        replace(stage, deadline=max(stage.deadline, stage.requirements.expected)) for stage in chain
    ]
    found = planned(enough, some, start)

    if found is not None:
        assert found.worst.amount >= found.total.amount - EXACT
        assert found.worst.amount == sum(placement.worst.amount for placement in found.placements)
