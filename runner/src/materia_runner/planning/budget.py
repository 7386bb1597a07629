"""What a run may cost at most: compared with the worst case before anything is rented. Pure."""

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
    """What *offer* costs at most when it exists no longer than *longest*, whenever it starts.

    Clock hours are counted for the least lucky start, and no monthly cap is relied on: a month may
    end meanwhile.

    Raises:
        ValueError: as `cost`.
    """
    rules = [offer.billing, *(extra.billing for extra in offer.extras if extra.billing)]
    for rule in rules:
        if rule.alignment == "clock":  # `cost` without a start adds the one unit that is begun
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
    """Refuse what could pass a cap; what meets it exactly may run.

    Args:
        budget: The caps.
        worst: What is still to be rented costs at most: each machine up to its hard deadline.
        spent_in_run: What this run has cost so far.
        month: What the ledger has for this calendar month, what this run has cost so far included.
        made_of: What *worst* is made of, a line each: `Plan.worst_case`.

    Raises:
        BudgetError: with both figures, what they are made of, and what to change.
        ValueError: the amounts are of different currencies.
    """
    if not worst.amount:
        return
    of_run = "--max-cost, or [budget] run in materia.toml,"
    of_month = "[budget] monthly in materia.toml"
    so_far = "spent by this run so far"
    this_month = "spent this month or promised to what is running: `materia runs cost`"
    for cap, before, spent, subject, key in (
        (budget.max_cost, spent_in_run, so_far, "this run", of_run),
        (budget.monthly, month, this_month, "with it this month", of_month),
    ):
        if cap is None:
            continue
        if len({cap.currency, worst.currency, before.currency}) > 1:
            raise ValueError(f"{cap.currency}, {worst.currency}, {before.currency}: not comparable")
        total = Money(before.amount + worst.amount, cap.currency)
        if total.amount <= cap.amount:
            continue
        lines = [
            f"{subject} could cost {money_text(total)}, and {key} allows {money_text(cap)}",
            f"{money_text(worst)} at worst for what is to be rented: price x hard deadline",
            *(f"  {line}" for line in made_of),
        ]
        if before.amount:
            lines.append(f"{money_text(before)} {spent}")
        lines.append(
            "nothing more is rented; raise that cap, shorten deadline_minutes under "
            "[stages.<name>] in materia.toml, or name other providers"
        )
        raise BudgetError("\n  ".join(lines))
