"""Which offers are ranked, in which order, and why the others are not."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from materia.compute import Billing, Money, Offer, Requirements
from materia.kit.fit import misfit
from materia_runner.pricing.currency import Exchange, Rate
from materia_runner.pricing.ranking import rank
from strategies.offers import NOW, durations, offers

TODAY = date(2026, 11, 24)
NEEDS = Requirements(vcpus=2, memory_gib=Decimal(8), disk_gib=20, expected=timedelta(minutes=10))
OFFER = Offer(
    provider="acme",
    region="north",
    instance_type="a1",
    vcpus=2,
    cpu="dedicated",
    architecture="x86_64",
    memory_gib=Decimal(8),
    disk_gib=20,
    hourly=Money(Decimal("0.06"), "EUR"),
    billing=Billing(increment=timedelta(hours=1), minimum=timedelta(hours=1)),
    availability="available",
    price_as_of=datetime(2026, 11, 24, tzinfo=UTC),
    price_source="https://prices.example/",
)
DOLLARS = replace(OFFER, provider="bolt", hourly=Money(Decimal("0.05"), "USD"))
EURO_FOR_DOLLAR = Rate(currency="USD", worth=Decimal("0.9"), on=date(2026, 11, 20))

needs = st.builds(
    Requirements,
    vcpus=st.integers(1, 3),
    memory_gib=st.integers(1, 10).map(Decimal),
    disk_gib=st.integers(5, 25),
    dedicated=st.booleans(),
    expected=durations(48),
    egress_gib=st.sampled_from((Decimal(0), Decimal(60))),
)


def why(offer: Offer, requirements: Requirements = NEEDS) -> str | None:
    return misfit(offer, requirements, TODAY)


@pytest.mark.parametrize(
    ("offer", "requirements", "reason"),
    [
        (OFFER, NEEDS, None),
        (replace(OFFER, vcpus=1), NEEDS, "1 vCPU, 2 needed"),
        (replace(OFFER, memory_gib=Decimal("7.45")), NEEDS, None),
        (replace(OFFER, memory_gib=Decimal(7)), NEEDS, "7 GiB of memory, 8 needed"),
        (replace(OFFER, disk_gib=10), NEEDS, "10 GiB of disk, 20 needed"),
        (OFFER, replace(NEEDS, architectures=("arm64",)), "x86_64, arm64 needed"),
        (
            replace(OFFER, cpu="unknown"),
            replace(NEEDS, dedicated=True),
            "the processor is unknown, dedicated needed",
        ),
        (OFFER, replace(NEEDS, regions=("NORTH",)), None),
        (replace(OFFER, zone="north-1"), replace(NEEDS, regions=("north-1",)), None),
        (OFFER, replace(NEEDS, regions=("east", "west")), "in north, east or west wanted"),
        (replace(OFFER, retires_on=TODAY), NEEDS, None),
        (
            replace(OFFER, retires_on=date(2026, 11, 23)),
            NEEDS,
            "no longer sold since 2026-11-23",
        ),
        (replace(OFFER, availability="scarce"), NEEDS, None),
        (replace(OFFER, availability="unknown"), NEEDS, None),
        (replace(OFFER, availability="unavailable"), NEEDS, "sold out"),
        (
            replace(OFFER, availability="no_quota"),
            NEEDS,
            "the account's quota does not allow it",
        ),
    ],
)
def test_an_offer_fits_or_says_why_not(
    offer: Offer, requirements: Requirements, reason: str | None
) -> None:
    assert why(offer, requirements) == reason


def test_a_dear_price_by_the_second_beats_a_low_price_by_the_hour_for_a_short_stage() -> None:
    second = timedelta(seconds=1)
    dear = replace(
        OFFER,
        instance_type="seconds",
        hourly=Money(Decimal("0.2"), "EUR"),
        billing=Billing(increment=second, minimum=timedelta(minutes=1)),
    )

    def best(minutes: int) -> str:
        wanted = replace(NEEDS, expected=timedelta(minutes=minutes))
        return rank([OFFER, dear], wanted, start=NOW).quotes[0].offer.instance_type

    assert [best(minutes) for minutes in (10, 17, 18, 19, 60)] == [
        "seconds",
        "seconds",
        "a1",
        "a1",
        "a1",
    ]


def test_equal_costs_are_ordered_by_availability_then_processor_then_name() -> None:
    wanted = [
        OFFER,
        replace(OFFER, instance_type="a2"),
        replace(OFFER, provider="bolt"),
        replace(OFFER, cpu="shared"),
        replace(OFFER, availability="scarce"),
        replace(OFFER, availability="unknown"),
    ]

    ranking = rank(reversed(wanted), NEEDS, start=NOW)

    assert [quote.offer for quote in ranking.quotes] == wanted


def test_another_currency_without_a_rate_is_passed_over_with_the_key_to_add() -> None:
    ranking = rank([OFFER, DOLLARS], NEEDS, start=NOW)

    assert [quote.offer for quote in ranking.quotes] == [OFFER]
    (passed,) = ranking.passed_over
    assert passed.offer == DOLLARS
    assert "prices in USD cannot be compared in EUR" in passed.reason
    assert "[currency.rates.USD]" in passed.reason


def test_another_currency_with_a_rate_is_ranked_and_marked() -> None:
    exchange = Exchange(rates=(EURO_FOR_DOLLAR,))

    first, second = rank([OFFER, DOLLARS], NEEDS, start=NOW, exchange=exchange).quotes

    assert (first.cost, first.shown) == (
        Money(Decimal("0.05"), "USD"),
        Money(Decimal("0.045"), "EUR"),
    )
    assert first.rates == (EURO_FOR_DOLLAR,)
    assert second.rates == ()


def test_a_rate_leads_back_too() -> None:
    exchange = Exchange(shown="USD", rates=(EURO_FOR_DOLLAR,))

    shown, rates = exchange.convert(Money(Decimal(9), "EUR"))

    assert shown == Money(Decimal(10), "USD")
    assert rates == (EURO_FOR_DOLLAR,)


def test_two_rates_lead_from_one_foreign_currency_to_another() -> None:
    pounds = replace(EURO_FOR_DOLLAR, currency="GBP", worth=Decimal("1.2"))
    exchange = Exchange(shown="GBP", rates=(EURO_FOR_DOLLAR, pounds))

    shown, rates = exchange.convert(Money(Decimal(4), "USD"))

    assert shown == Money(Decimal(3), "GBP")
    assert rates == (EURO_FOR_DOLLAR, pounds)


def test_traffic_without_a_price_is_a_reason_and_not_a_crash() -> None:
    offer = replace(OFFER, egress_included_gib=Decimal(1))

    ranking = rank([offer], replace(NEEDS, egress_gib=Decimal(2)), start=NOW)

    assert "no price known above 1 GiB" in ranking.passed_over[0].reason


@given(st.lists(offers(), max_size=8), needs, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(
    given_offers: list[Offer], requirements: Requirements, chance: random.Random
) -> None:
    shuffled = list(given_offers)
    chance.shuffle(shuffled)

    assert rank(shuffled, requirements, start=NOW) == rank(given_offers, requirements, start=NOW)


@given(st.lists(offers(), max_size=8), needs)
def test_every_offer_is_ranked_or_passed_over_for_a_reason(
    given_offers: list[Offer], requirements: Requirements
) -> None:
    ranking = rank(given_offers, requirements, start=NOW)
    ranked = [quote.offer for quote in ranking.quotes]
    passed = [passed.offer for passed in ranking.passed_over]

    assert sorted(map(repr, ranked + passed)) == sorted(map(repr, given_offers))
    assert all(misfit(offer, requirements, NOW.date()) is None for offer in ranked)
    assert all(passed.reason for passed in ranking.passed_over)


@given(st.lists(offers(), max_size=6), offers(), needs)
def test_one_more_offer_never_makes_the_best_dearer(
    given_offers: list[Offer], another: Offer, requirements: Requirements
) -> None:
    before = rank(given_offers, requirements, start=NOW).quotes
    after = rank([*given_offers, another], requirements, start=NOW).quotes

    if before:
        assert after[0].shown.amount <= before[0].shown.amount


@given(st.lists(offers() | offers("USD"), min_size=1, max_size=8), needs)
def test_costs_rise_from_first_to_last_in_one_currency(
    given_offers: list[Offer], requirements: Requirements
) -> None:
    exchange = Exchange(rates=(EURO_FOR_DOLLAR,))

    quotes = rank(given_offers, requirements, start=NOW, exchange=exchange).quotes

    amounts = [quote.shown.amount for quote in quotes]
    assert amounts == sorted(amounts)
    assert {quote.shown.currency for quote in quotes} <= {"EUR"}
    for quote in quotes:
        assert bool(quote.rates) == (quote.offer.hourly.currency == "USD")
