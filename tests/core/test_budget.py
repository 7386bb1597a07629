"""What is refused because it could cost too much, and how that is said."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from materia.compute import Money
from materia.errors import BudgetError
from materia_runner.config.pipeline import Budget
from materia_runner.planning.budget import check

cents = st.integers(0, 300).map(lambda cents: Decimal(cents) / 100)


def euro(amount: str) -> Money:
    return Money(Decimal(amount), "EUR")


NONE = euro("0")


def refusal(budget: Budget, *, worst: Money, spent: Money = NONE, month: Money = NONE) -> list[str]:
    line = "extract: acme small in north at 0.06 EUR/h for at most 1 h 20 min, in total 0.1200 EUR"
    with pytest.raises(BudgetError) as raised:
        check(budget, worst=worst, spent_in_run=spent, month=month, made_of=(line,))
    assert f"    {line}" in str(raised.value).splitlines()
    return [text.strip() for text in str(raised.value).splitlines()]


def test_a_run_that_could_pass_its_cap_is_refused_with_both_figures_and_what_to_do() -> None:
    first, second, _, last = refusal(Budget(max_cost=euro("0.1")), worst=euro("0.12"))

    assert first == (
        "this run could cost 0.1200 EUR, over its cap of 0.1000 EUR (--max-cost, or [budget] run "
        "in materia.toml)"
    )
    assert second == "0.1200 EUR worst case for machines to rent: price x hard deadline"
    assert last == (
        "no more machines are rented; raise the cap, shorten deadline_minutes under "
        "[stages.<name>] in materia.toml, or name other providers"
    )


def test_what_a_run_has_spent_counts_towards_its_cap() -> None:
    budget = Budget(max_cost=euro("0.20"))

    check(budget, worst=euro("0.12"), spent_in_run=euro("0.08"), month=NONE)
    said = refusal(budget, worst=euro("0.12"), spent=euro("0.09"))

    assert said[0].startswith("this run could cost 0.2100 EUR")
    assert "0.0900 EUR spent by this run so far" in said


def test_what_the_month_has_cost_counts_towards_the_cap_of_the_month() -> None:
    budget = Budget(max_cost=euro("5"), monthly=euro("20"))

    check(budget, worst=euro("0.12"), spent_in_run=NONE, month=euro("19.88"))
    said = refusal(budget, worst=euro("0.12"), month=euro("19.89"))

    assert said[0] == (
        "this month could cost 20.0100 EUR, over its cap of 20.0000 EUR ([budget] monthly in "
        "materia.toml)"
    )


def test_what_costs_nothing_may_run_whatever_was_spent() -> None:
    check(Budget(max_cost=NONE, monthly=NONE), worst=NONE, spent_in_run=NONE, month=euro("7"))


def test_a_cap_of_nothing_refuses_whatever_costs_something() -> None:
    first = refusal(Budget(max_cost=NONE), worst=euro("0.0001"))[0]

    assert first.startswith("this run could cost 0.0001 EUR, over its cap of 0.0000 EUR (")


def test_amounts_of_two_currencies_are_a_mistake_of_the_program() -> None:
    with pytest.raises(ValueError, match="EUR, USD, EUR: not comparable"):
        check(
            Budget(max_cost=euro("1")),
            worst=Money(Decimal(1), "USD"),
            spent_in_run=NONE,
            month=NONE,
        )


@given(st.none() | cents, st.none() | cents, cents, cents, cents)
def test_it_is_refused_exactly_when_a_cap_would_be_passed(
    run: Decimal | None, monthly: Decimal | None, worst: Decimal, spent: Decimal, month: Decimal
) -> None:
    budget = Budget(
        max_cost=None if run is None else Money(run, "EUR"),
        monthly=None if monthly is None else Money(monthly, "EUR"),
    )
    passes = worst > 0 and (
        (run is not None and spent + worst > run)
        or (monthly is not None and month + worst > monthly)
    )
    try:
        check(
            budget,
            worst=Money(worst, "EUR"),
            spent_in_run=Money(spent, "EUR"),
            month=Money(month, "EUR"),
        )
    except BudgetError:
        assert passes
    else:
        assert not passes
