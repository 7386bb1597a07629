"""Costs by hand: each figure here was worked out from the price and the rule, not by the code."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from materia.compute import Billing, Extra, Money, Offer
from materia.text import duration_text
from materia_runner.pricing.cost import cost, describe

HOUR = timedelta(hours=1)
STARTED_HOURS = Billing(increment=HOUR, minimum=HOUR)
CLOCK_HOURS = Billing(increment=HOUR, minimum=HOUR, alignment="clock", meter_from="active")
SECONDS = Billing(increment=timedelta(seconds=1), minimum=timedelta(minutes=1))
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def euro(amount: str) -> Money:
    return Money(Decimal(amount), "EUR")


def make_offer(hourly: str, billing: Billing, *extras: Extra) -> Offer:
    return Offer(
        provider="acme",
        region="north",
        instance_type="a1",
        vcpus=2,
        cpu="dedicated",
        architecture="x86_64",
        memory_gib=Decimal(8),
        disk_gib=80,
        hourly=euro(hourly),
        billing=billing,
        availability="available",
        price_as_of=NOON,
        price_source="https://prices.example/",
        extras=extras,
    )


def minutes(offer: Offer, length: str | int, start: datetime | None = NOON) -> Decimal:
    duration = timedelta(seconds=float(Decimal(length) * 60))
    return cost(offer, duration, start).cost.amount


@pytest.mark.parametrize(
    ("length", "expected"),
    [(0, "0.06"), (1, "0.06"), (60, "0.06"), ("60.01", "0.12"), (61, "0.12"), (121, "0.18")],
)
def test_started_hours_step_just_after_the_hour(length: str | int, expected: str) -> None:
    assert minutes(make_offer("0.06", STARTED_HOURS), length) == Decimal(expected)


@pytest.mark.parametrize(
    ("length", "expected"),
    [("0.5", "0.001"), (1, "0.001"), (10, "0.01"), ("10.01", "0.01001666666666666666666666667")],
)
def test_seconds_have_a_minimum_of_one_minute(length: str | int, expected: str) -> None:
    assert minutes(make_offer("0.06", SECONDS), length) == Decimal(expected)


@pytest.mark.parametrize(
    ("start", "length", "hours"),
    [
        ("12:00", 60, 1),
        ("12:00", 61, 2),
        ("12:59", 1, 1),
        ("12:59", 2, 2),
        ("12:55", 10, 2),
        ("12:10", 10, 1),
        ("12:30", 150, 3),
        ("12:30", 151, 4),
    ],
)
def test_clock_hours_count_every_hour_touched(start: str, length: int, hours: int) -> None:
    begin = datetime.fromisoformat(f"2026-11-24T{start}+00:00")

    assert minutes(make_offer("1", CLOCK_HOURS), length, begin) == hours


def test_the_clock_hours_of_ovhs_own_example_are_billed_as_in_their_guide() -> None:
    """From the 4th at 09:40 to the 12th at 16:30 is 198 h 50 min, and 200 hours are billed.

    OVHcloud, "Billing and payment for Public Cloud", updated 2026-03-12.
    """
    begin = datetime(2026, 3, 4, 9, 40, tzinfo=UTC)
    end = datetime(2026, 3, 12, 16, 30, tzinfo=UTC)

    quote = cost(make_offer("1", CLOCK_HOURS), end - begin, begin)

    assert quote.lines[0].quantity == 200


def test_without_a_start_clock_hours_are_the_number_expected_over_all_starts() -> None:
    offer = make_offer("1", CLOCK_HOURS)
    starts = [NOON + timedelta(seconds=second) for second in range(0, 3600, 10)]
    duration = timedelta(minutes=50)
    costs = [cost(offer, duration, start).cost.amount for start in starts]
    mean = sum(costs, Decimal(0)) / len(costs)

    expected = cost(offer, duration).cost.amount

    assert abs(expected - mean) < Decimal("0.01")
    assert "expected over all starts" in cost(offer, duration).lines[0].rule


def test_clock_hours_do_not_depend_on_the_time_zone_a_start_is_written_in() -> None:
    offer = make_offer("1", CLOCK_HOURS)
    nepal = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))

    assert cost(offer, timedelta(minutes=50), nepal) == cost(offer, timedelta(minutes=50), NOON)


def test_a_meter_that_starts_when_the_instance_is_active_leaves_the_boot_out() -> None:
    from_active = make_offer("1", replace(STARTED_HOURS, meter_from="active"))
    from_create = make_offer("1", STARTED_HOURS)
    duration, boot = timedelta(minutes=61), timedelta(minutes=2)

    assert cost(from_active, duration, NOON, boot=boot).cost == euro("1")
    assert cost(from_create, duration, NOON, boot=boot).cost == euro("2")


def test_an_instance_costs_at_least_its_minimum_in_money_however_short_it_exists() -> None:
    offer = replace(make_offer("0.06", SECONDS), minimum=euro("0.01"))
    short = cost(offer, timedelta(minutes=4), NOON)

    assert minutes(offer, 0) == minutes(offer, 4) == minutes(offer, 10) == Decimal("0.01")
    assert minutes(offer, 15) == Decimal("0.015")
    assert short.lines[0].rule.endswith("; raised to 0.01 EUR")
    assert cost(offer, timedelta(minutes=15), NOON).lines[0].rule.endswith("; at least 0.01 EUR")


def test_the_monthly_cap_holds_in_each_calendar_month() -> None:
    """ccx13 at EUR 0.0689, capped at EUR 42.99: 700 of the 744 hours of January are above it."""
    offer = replace(make_offer("0.0689", STARTED_HOURS), monthly_cap=euro("42.99"))
    january = datetime(2027, 1, 1, tzinfo=UTC)
    middle = datetime(2027, 1, 17, tzinfo=UTC)  # 360 hours are left of January

    whole = cost(offer, timedelta(hours=700), january)
    over_the_end = cost(offer, timedelta(hours=700), middle)

    assert whole.cost == euro("42.99")
    assert "capped at 42.99 EUR a month" in whole.lines[0].rule
    assert over_the_end.cost == euro("48.23")
    assert [line.name for line in over_the_end.lines] == [
        "a1 in north, 2027-01",
        "a1 in north, 2027-02",
    ]
    assert cost(offer, timedelta(hours=700)).cost == euro("42.99")


def test_an_address_is_charged_at_its_minimum_when_its_time_costs_less() -> None:
    """Scaleway: a flexible IPv4 is EUR 0.004 an hour and at least EUR 0.01."""
    address = Extra(
        name="address", hourly=euro("0.004"), source="https://ip.example/", minimum=euro("0.01")
    )
    offer = make_offer("0.04284", STARTED_HOURS, address)

    assert minutes(offer, 10) == Decimal("0.05284")
    assert minutes(offer, 170) == Decimal("0.14052")
    assert "raised to 0.01 EUR" in cost(offer, HOUR).lines[1].rule


def test_the_monthly_cap_of_an_address_holds_beside_that_of_its_instance() -> None:
    """Hetzner: a primary IPv4 is EUR 0.0008 an hour and at most EUR 0.50 a month (2026-10)."""
    address = Extra(
        name="address", hourly=euro("0.0008"), source="https://ip.example/", monthly_cap=euro("0.5")
    )
    offer = make_offer("0", STARTED_HOURS, address)
    january = datetime(2027, 1, 1, tzinfo=UTC)

    assert cost(offer, timedelta(hours=625), january).cost == euro("0.5")
    assert cost(offer, timedelta(hours=624), january).cost == euro("0.4992")
    assert cost(offer, timedelta(hours=745), january).cost == euro("0.5008")


def test_a_minimum_is_for_all_months_of_an_extra_together() -> None:
    address = Extra(
        name="address",
        hourly=euro("0.001"),
        source="https://ip.example/",
        minimum=euro("0.9"),
        monthly_cap=euro("0.5"),
    )
    offer = make_offer("0", STARTED_HOURS, address)
    january = datetime(2027, 1, 1, tzinfo=UTC)

    assert cost(offer, timedelta(hours=1), january).cost == euro("0.9")
    assert cost(offer, timedelta(hours=1200), january).cost == euro("0.956")


def test_an_extra_can_be_billed_by_a_rule_of_its_own() -> None:
    disk = Extra(name="disk", hourly=euro("0.36"), source="https://disk.example/", billing=SECONDS)

    assert minutes(make_offer("1", STARTED_HOURS, disk), 10) == Decimal("1.06")


def test_only_traffic_above_the_allowance_is_charged() -> None:
    offer = replace(
        make_offer("1", STARTED_HOURS),
        egress_included_gib=Decimal(100),
        egress_per_gib=euro("0.01"),
    )

    assert cost(offer, HOUR, NOON, Decimal(100)).cost == euro("1")
    assert cost(offer, HOUR, NOON, Decimal(130)).cost == euro("1.30")
    assert cost(make_offer("1", STARTED_HOURS), HOUR, NOON, Decimal(10**6)).cost == euro("1")


def test_traffic_above_an_allowance_without_a_price_is_not_called_free() -> None:
    offer = replace(make_offer("1", STARTED_HOURS), egress_included_gib=Decimal(100))

    with pytest.raises(ValueError, match="no price known above 100 GiB"):
        cost(offer, HOUR, NOON, Decimal(101))


def test_a_line_says_where_and_when_its_price_and_its_rule_were_read() -> None:
    rule = replace(STARTED_HOURS, source="https://rules.example/", read_on=date(2026, 8, 1))
    address = Extra(name="address", hourly=euro("0.004"), source="https://ip.example/")

    machine, beside = cost(make_offer("1", rule, address), HOUR, NOON).lines

    assert (machine.source, machine.as_of) == ("https://prices.example/", NOON)
    assert (machine.rule_source, machine.rule_read_on) == (
        "https://rules.example/",
        date(2026, 8, 1),
    )
    assert (beside.source, beside.as_of) == ("https://ip.example/", NOON)


def test_an_offer_with_prices_in_two_currencies_cannot_be_made() -> None:
    dollars = Extra(name="disk", hourly=Money(Decimal(1), "USD"), source="")

    with pytest.raises(ValueError, match="several currencies: EUR, USD"):
        make_offer("1", STARTED_HOURS, dollars)


def test_a_start_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        cost(make_offer("1", STARTED_HOURS), HOUR, NOON.replace(tzinfo=None))


def test_rules_and_lengths_read_as_people_write_them() -> None:
    assert describe(STARTED_HOURS) == "started hours from create, at least 1 h"
    assert describe(SECONDS) == "started seconds from create, at least 1 min"
    assert describe(CLOCK_HOURS) == "clock hours touched from active, at least 1 h"
    assert duration_text(timedelta(hours=1, minutes=30)) == "1 h 30 min"
    assert duration_text(timedelta(milliseconds=1500)) == "1.5 s"
    assert duration_text(timedelta(0)) == "0 s"
