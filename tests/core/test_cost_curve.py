"""Cost against duration: the curves of the cheapest offers, and where they cross."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from materia.compute import Offer, Requirements
from materia_runner.pricing.cost import cost
from materia_runner.pricing.currency import Exchange
from materia_runner.pricing.curve import Curve, Lead, cost_curves, leads, sample_durations
from materia_runner.pricing.ranking import rank
from strategies.offers import NOW, offers

MINUTE = timedelta(minutes=1)
ANYTHING = Requirements(vcpus=1, memory_gib=Decimal(1), disk_gib=1)
DURATIONS = (MINUTE, 30 * MINUTE, 61 * MINUTE, 130 * MINUTE)


def curve(provider: str, *costs: int) -> Curve:
    durations = tuple(number * MINUTE for number in range(1, len(costs) + 1))
    return Curve(provider=provider, durations=durations, costs=tuple(map(Decimal, costs)))


def test_the_cheapest_is_named_for_each_stretch_of_durations() -> None:
    seconds = curve("seconds", 1, 2, 3, 4, 5, 6)
    hours = curve("hours", 3, 3, 3, 3, 7, 7)

    assert leads((hours, seconds)) == (
        Lead(provider="seconds", first=MINUTE, last=2 * MINUTE),
        Lead(provider="hours", first=3 * MINUTE, last=4 * MINUTE),
        Lead(provider="seconds", first=5 * MINUTE, last=6 * MINUTE),
    )


def test_no_curves_have_no_leader() -> None:
    assert leads(()) == ()


def test_samples_are_whole_minutes_and_reach_to_the_end() -> None:
    durations = sample_durations(timedelta(hours=3))

    assert durations[0] == MINUTE
    assert durations[-1] == timedelta(hours=3)
    assert len(durations) == 180
    assert len(sample_durations(timedelta(days=30))) <= 240
    assert sample_durations(MINUTE)[-1] == MINUTE


@given(st.lists(offers(), max_size=6))
def test_a_curve_is_the_least_cost_of_all_offers_of_its_provider(some: list[Offer]) -> None:
    priced = [replace(offer, egress_included_gib=None) for offer in some]
    quotes = rank(priced, ANYTHING, start=NOW).quotes

    curves = cost_curves(quotes, DURATIONS, Exchange())

    assert [one.provider for one in curves] == sorted({quote.offer.provider for quote in quotes})
    for one in curves:
        mine = [quote.offer for quote in quotes if quote.offer.provider == one.provider]
        for duration, least in zip(one.durations, one.costs, strict=True):
            assert least == min(cost(offer, duration, NOW).cost.amount for offer in mine)
