"""Budget caps: compare them with the worst-case cost before a machine is rented. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from materia.compute import Money, Offer
from materia.errors import BudgetError

from materia_runner.config.pipeline import Budget
from materia_runner.figures import money_text
from materia_runner.pricing.cost import Quote, cost


def worst_case(offer: Offer, longest: timedelta, egress_gib: Decimal = Decimal(0)) -> Quote:
    """Worst-case cost of *offer* for at most *longest*, for any start.

    Counts clock hours for the worst start, and ignores monthly caps: a month may end meanwhile.

    Raises:
        ValueError: `cost` refuses its arguments.
    """
    rules = [offer.billing, *(extra.billing for extra in offer.extras if extra.billing)]
    for rule in rules:
        if rule.alignment == "clock":  # without a start, `cost` adds one started unit
            longest = -(-longest // rule.increment) * rule.increment
    extras = tuple(replace(extra, monthly_cap=None) for extra in offer.extras)
    return cost(replace(offer, monthly_cap=None, extras=extras), longest, None, egress_gib)


def check(
    budget: Budget,
    *,
    worst: Money,
    spent_in_run: Money,
    month: Money,
    made_of: Sequence[str] = (),
) -> None:
    """Refuse a worst case that exceeds a cap; one that equals the cap may run.

    Args:
        budget: The caps.
        worst: Worst-case cost of the machines to rent: each up to its hard deadline.
        spent_in_run: Cost of this run so far.
        month: Cost of this calendar month in the ledger, this run so far included.
        made_of: The parts of *worst*, a line each: `Plan.worst_case`.

    Raises:
        BudgetError: a cap could be exceeded; the message has the figures and what to change.
        ValueError: the amounts have different currencies.
    """
    if not worst.amount:
        return
    of_run = "--max-cost, or [budget] run in materia.toml"
    of_month = "[budget] monthly in materia.toml"
    so_far = "spent by this run so far"
    this_month = "spent this month or reserved for running machines; see `materia runs cost`"
    for cap, before, spent, subject, key in (
        (budget.max_cost, spent_in_run, so_far, "this run", of_run),
        (budget.monthly, month, this_month, "this month", of_month),
    ):
        if cap is None:
            continue
        if len({cap.currency, worst.currency, before.currency}) > 1:
            raise ValueError(f"{cap.currency}, {worst.currency}, {before.currency}: not comparable")
        total = Money(before.amount + worst.amount, cap.currency)
        if total.amount <= cap.amount:
            continue
        lines = [
            f"{subject} could cost {money_text(total)}, over its cap of {money_text(cap)} ({key})",
            f"{money_text(worst)} worst case for machines to rent: price x hard deadline",
            *(f"  {line}" for line in made_of),
        ]
        if before.amount:
            lines.append(f"{money_text(before)} {spent}")
        lines.append(
            "no more machines are rented; raise the cap, shorten deadline_minutes under "
            "[stages.<name>] in materia.toml, or name other providers"
        )
        raise BudgetError("\n  ".join(lines))
