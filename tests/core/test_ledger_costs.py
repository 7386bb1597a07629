"""What the ledger says of money and of time: costs, what a month has cost, what to expect."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from fakes.rows import FREE, MINUTE, NOON, OFFER, machine_row, run_row, write_machine
from hypothesis import given, settings
from hypothesis import strategies as st
from materia.compute import Money, Offer
from materia_runner.ledger.ledger import Ledger
from materia_runner.pricing.cost import cost
from strategies.offers import durations, offers


def test_a_machine_of_two_stages_is_divided_by_their_time_to_the_last_digit(
    ledger: Ledger,
) -> None:
    row = machine_row(stages=("extract", "transform"))
    write_machine(ledger, row, lengths=(4 * MINUTE, 8 * MINUTE))
    whole = cost(OFFER, 14 * MINUTE, NOON).cost

    extract, transform = ledger.costs(now=NOON)

    assert (extract.stage, transform.stage) == ("extract", "transform")
    assert extract.cost.amount + transform.cost.amount == whole.amount
    assert extract.estimate.amount + transform.estimate.amount == row.estimate.amount
    assert extract.time + transform.time == 14 * MINUTE
    assert abs(2 * extract.cost.amount - transform.cost.amount) < Decimal("1e-8")


def test_a_machine_that_served_two_stages_for_days_is_divided_too(ledger: Ledger) -> None:
    days = timedelta(days=30)
    write_machine(ledger, machine_row(stages=("extract", "transform")), lengths=(days, days))

    extract, transform = ledger.costs(now=NOON)

    assert extract.time + transform.time > 2 * days
    assert abs(extract.time - transform.time) <= timedelta(microseconds=1)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 10**14), min_size=1, max_size=5), offers(), durations(20))
def test_shares_sum_to_the_whole(lengths: list[int], offer: Offer, duration: timedelta) -> None:
    from materia_runner.ledger.bills import Attempt, billed
    from materia_runner.ledger.costs import cost_rows

    stages = tuple(f"s{number}" for number in range(len(lengths)))
    bill = cost(offer, duration, NOON)
    machine = replace(
        machine_row(stages=stages, offer=offer), state="gone", gone_at=NOON, cost=bill.cost
    )
    attempts = [
        Attempt("one m", name, NOON, NOON + timedelta(microseconds=length))
        for name, length in zip(stages, lengths, strict=True)
    ]

    rows = cost_rows([billed(machine, NOON)] if machine.rented else [], attempts, NOON)

    assert len(rows) == (len(stages) if machine.rented else 0)
    if rows:
        assert sum(row.cost.amount for row in rows) == bill.cost.amount
        assert all(row.cost.amount >= -Decimal("1e-8") for row in rows)


def test_costs_are_of_the_month_provider_and_stage_and_leave_out_what_costs_nothing(
    ledger: Ledger,
) -> None:
    october = datetime(2026, 10, 31, 23, 59, tzinfo=UTC)
    dollars = replace(
        OFFER,
        provider="bolt",
        hourly=Money(Decimal(1), "USD"),
        extras=(),
    )
    for name, at, offer in (
        ("a", october, OFFER),
        ("b", NOON, OFFER),
        ("c", NOON, dollars),
        ("d", NOON, FREE),
    ):
        ledger.begin_run(run_row(name, at=at))
        row = machine_row(name, run=name, at=at, offer=offer)
        write_machine(ledger, row, lengths=(5 * MINUTE,))
    ledger.intend_machine(machine_row("e"))
    ledger.machine_failed("e", "sold out")

    rows = ledger.costs(now=NOON)

    assert [(row.month, row.provider, row.machines, row.cost.currency) for row in rows] == [
        ("2026-10", "acme", 1, "EUR"),
        ("2026-11", "acme", 1, "EUR"),
        ("2026-11", "bolt", 1, "USD"),
    ]
    assert len(ledger.costs(since=NOON, now=NOON)) == 2
    assert ledger.month_spent(october.date(), NOON) == (cost(OFFER, 7 * MINUTE).cost,)
    assert [spent.currency for spent in ledger.month_spent(NOON.date(), NOON)] == ["EUR", "USD"]
    assert ledger.month_spent(NOON.date().replace(month=9), NOON) == ()


def test_an_open_machine_counts_with_its_worst_case_and_with_more_when_it_is_past_that(
    ledger: Ledger,
) -> None:
    row = machine_row()
    ledger.intend_machine(row)
    ledger.machine_created("m", id="1", region="north", created_at=NOON, at=NOON)

    assert ledger.month_spent(NOON.date(), NOON + MINUTE) == (row.worst,)
    late = NOON + timedelta(hours=100)
    assert ledger.month_spent(NOON.date(), late) == (cost(OFFER, timedelta(hours=100), NOON).cost,)
    [so_far] = ledger.costs(now=NOON + 30 * MINUTE)
    assert (so_far.open, so_far.cost) == (1, cost(OFFER, 30 * MINUTE, NOON).cost)


def test_a_stage_is_expected_to_take_what_it_took_on_rented_machines(ledger: Ledger) -> None:
    assert ledger.expected("beans", "extract") is None
    lengths = [50, 1, 2, 30, 4, 5]
    for number, length in enumerate(lengths):
        run = f"r{number}"
        at = NOON + number * timedelta(hours=2)
        ledger.begin_run(run_row(run, at=at))
        write_machine(ledger, machine_row(f"m{number}", run=run, at=at), lengths=(length * MINUTE,))
    for number, (sample, offer) in enumerate(((True, OFFER), (False, FREE))):
        run = f"x{number}"
        at = NOON + timedelta(days=1)
        ledger.begin_run(run_row(run, at=at, sample=sample))
        write_machine(
            ledger,
            machine_row(f"x{number}", run=run, at=at, offer=offer),
            lengths=(timedelta(hours=9),),
        )

    # The median of the last five, 4 minutes, with a minute of boot and one of teardown.
    assert ledger.expected("beans", "extract") == 6 * MINUTE
    assert ledger.expected("peas", "extract") is None
    assert ledger.expected("beans", "transform") is None


def test_a_stage_that_shared_a_machine_is_expected_to_boot_one_of_its_own(ledger: Ledger) -> None:
    row = machine_row(stages=("extract", "transform"))
    write_machine(ledger, row, lengths=(4 * MINUTE, 8 * MINUTE), boot=2 * MINUTE)

    assert ledger.expected("beans", "extract") == 7 * MINUTE
    assert ledger.expected("beans", "transform") == 11 * MINUTE
