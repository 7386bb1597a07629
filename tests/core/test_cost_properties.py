"""What holds for every offer, every duration and every start."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import assume, given
from hypothesis import strategies as st
from materia.compute import Billing, Money, Offer
from materia_runner.pricing.cost import cost
from strategies.offers import billings, durations, moneys, offers, starts

MICROSECOND = timedelta(microseconds=1)
# 28 digits are kept, so sums of thirds may differ in the last ones.
EXACT = Decimal("1e-18")


@given(offers(), durations(), durations(), starts)
def test_longer_never_costs_less(
    offer: Offer, one: timedelta, other: timedelta, start: datetime | None
) -> None:
    short, long = sorted((one, other))

    assert cost(offer, short, start).cost.amount <= cost(offer, long, start).cost.amount + EXACT


@given(offers(), durations(), starts, st.decimals(0, 50, places=2))
def test_the_breakdown_sums_to_the_cost(
    offer: Offer, duration: timedelta, start: datetime | None, egress: Decimal
) -> None:
    quote = cost(offer, duration, start, egress)

    assert sum(line.amount.amount for line in quote.lines) == quote.cost.amount
    assert {line.amount.currency for line in quote.lines} == {quote.cost.currency}
    for line in quote.lines:
        times_price = line.quantity * line.price.amount
        replaced = "capped at" in line.rule or "raised to" in line.rule
        assert replaced or abs(times_price - line.amount.amount) < EXACT


@given(offers(), billings, st.integers(0, 200), starts)
def test_cost_steps_exactly_at_the_increment(
    offer: Offer, billing: Billing, steps: int, start: datetime | None
) -> None:
    billing = replace(billing, alignment="start")
    offer = replace(offer, billing=billing, extras=(), minimum=None, monthly_cap=None)
    edge = max(billing.increment * steps, billing.minimum)
    assume(edge % billing.increment == timedelta(0))

    at_edge = cost(offer, edge, start).lines[0].quantity
    just_before = cost(offer, max(edge - MICROSECOND, timedelta(0)), start).lines[0].quantity
    just_after = cost(offer, edge + MICROSECOND, start).lines[0].quantity

    assert at_edge == Decimal(edge // MICROSECOND) / 3_600_000_000
    assert just_before == at_edge
    assert just_after == Decimal((edge + billing.increment) // MICROSECOND) / 3_600_000_000


@given(offers(), durations(), st.datetimes(timezones=st.just(UTC), min_value=datetime(2020, 1, 1)))  # noqa: DTZ001 -- hypothesis adds the time zone
def test_clock_units_are_those_between_two_strokes_of_the_clock(
    offer: Offer, duration: timedelta, start: datetime
) -> None:
    assume(start.year < 9000)
    billing = replace(offer.billing, alignment="clock", minimum=timedelta(0))
    offer = replace(offer, billing=billing, extras=(), minimum=None, monthly_cap=None)
    step = billing.increment
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    first = (start - epoch) // step
    last = -(-(start + duration - epoch) // step)
    touched = last - first if duration else 0

    quantity = cost(offer, duration, start).lines[0].quantity

    assert abs(quantity - Decimal(touched * step.total_seconds()) / 3600) < EXACT


@given(offers(), moneys("EUR", "100"), durations(), starts)
def test_no_month_of_an_instance_costs_more_than_its_cap(
    offer: Offer, cap: Money, duration: timedelta, start: datetime | None
) -> None:
    capped = replace(offer, minimum=None, monthly_cap=cap, extras=())
    free = replace(capped, monthly_cap=None)

    quote = cost(capped, duration, start)

    assert all(line.amount.amount <= cap.amount for line in quote.lines)
    assert quote.cost.amount <= cost(free, duration, start).cost.amount + EXACT
    assert len({line.name for line in quote.lines}) == len(quote.lines)


@given(offers(), durations(), starts, durations(2))
def test_leaving_the_boot_out_never_costs_more(
    offer: Offer, duration: timedelta, start: datetime | None, boot: timedelta
) -> None:
    if offer.billing.alignment == "clock" and start is not None:
        # A later begin of the same end touches no more of the clock.
        offer = replace(offer, billing=replace(offer.billing, minimum=timedelta(0)))
        offer = replace(offer, minimum=None, monthly_cap=None, extras=())

    with_boot = cost(offer, duration, start, boot=boot).cost.amount

    assert with_boot <= cost(offer, duration, start).cost.amount + EXACT
