"""The bill of an emulated service, against figures worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from materia.compute import Billing, Money
from materia_testing.emulation import Clock, Meter, Metered

START = datetime(2026, 10, 4, 9, 40, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def metered(hourly: str = "0.06", **changes: object) -> Metered:
    values = {
        "kind": "instance",
        "id": "1",
        "region": "r",
        "started_at": START,
        "hourly": Money(Decimal(hourly), "EUR"),
        **changes,
    }
    return Metered(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("minutes", "hours"), [(0, 1), (1, 1), (59, 1), (60, 1), (61, 2), (120, 2), (120.02, 3)]
)
def test_every_started_hour_counts_from_the_start(minutes: float, hours: int) -> None:
    line = metered()

    assert line.charge(START + timedelta(minutes=minutes)).amount == Decimal("0.06") * hours


@pytest.mark.parametrize(
    ("minutes", "hours"), [(0, 1), (19, 1), (20, 1), (21, 2), (80, 2), (81, 3), (11930, 200)]
)
def test_every_clock_hour_that_is_touched_counts(minutes: int, hours: int) -> None:
    line = metered(billing=Billing(increment=HOUR, minimum=HOUR, alignment="clock"))

    assert line.charge(START + minutes * MINUTE).amount == Decimal("0.06") * hours


@pytest.mark.parametrize(("seconds", "charged"), [(1, 60), (60, 60), (61, 61), (3600, 3600)])
def test_seconds_count_after_the_minimum(seconds: int, charged: int) -> None:
    line = metered("3.6", billing=Billing(increment=timedelta(seconds=1), minimum=MINUTE))

    assert line.charge(START + timedelta(seconds=seconds)).amount == Decimal(charged) / 1000


def test_a_month_costs_no_more_than_its_cap_and_the_next_month_begins_anew() -> None:
    line = metered("1", monthly_cap=Money(Decimal(100), "EUR"))

    assert line.charge(START + 99 * HOUR).amount == 99
    assert line.charge(START + 101 * HOUR).amount == 100
    assert line.charge(datetime(2026, 11, 2, 9, 40, tzinfo=UTC)).amount == 100 + 33


def test_the_minimum_of_a_thing_is_charged_once() -> None:
    line = metered("0.004", minimum=Money(Decimal("0.01"), "EUR"))

    assert line.charge(START + HOUR).amount == Decimal("0.01")
    assert line.charge(START + 3 * HOUR).amount == Decimal("0.012")


def test_what_ended_before_its_meter_started_cost_nothing() -> None:
    line = metered(started_at=START + HOUR, ended_at=START + MINUTE)

    assert line.charge(START + 9 * HOUR).amount == 0


def test_what_is_about_to_start_or_to_end_is_still_there() -> None:
    meter = Meter()
    meter.start(metered(id="ahead", started_at=START + HOUR))
    meter.start(metered(id="ending"))
    meter.start(metered(id="gone"))
    meter.stop("instance", "ending", START + HOUR)
    meter.stop("instance", "gone", START)
    meter.stop("instance", "never there", START)

    assert [line.id for line in meter.running(START)] == ["ahead", "ending"]


def test_what_is_foreign_is_on_a_bill_of_its_own() -> None:
    meter = Meter()
    meter.start(metered(id="ours"))
    meter.start(metered("5", id="theirs", foreign=True))

    assert [line.id for line in meter.running(START, foreign=True)] == ["theirs"]
    assert meter.total(START + HOUR) == {"EUR": Decimal("0.06")}


def test_a_thing_cannot_be_metered_twice_at_a_time_and_can_one_after_the_other() -> None:
    meter = Meter()
    meter.start(metered())
    with pytest.raises(ValueError, match="metered already"):
        meter.start(metered())
    meter.stop("instance", "1", START + HOUR)

    meter.start(metered(started_at=START + 5 * HOUR))

    assert meter.total(START + 6 * HOUR) == {"EUR": Decimal("0.12")}


def test_a_clock_stands_until_it_is_advanced_at_speed_zero() -> None:
    clock = Clock(speed=0, start=START)

    clock.advance(HOUR)

    assert clock.now() == START + HOUR
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-MINUTE)


def test_a_clock_can_run_fast() -> None:
    clock = Clock(speed=10_000_000, start=START)

    assert clock.now() > START
