"""What a run may cost at most: compared with the worst case before anything is rented. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from materia.machines import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The caps on what is paid to providers, in the currency of `[currency]`, net of VAT.

    Attributes:
        max_cost: Of one run, or None.
        monthly: Of all runs that are in one ledger, in a calendar month (UTC), or None.
    """

    max_cost: Money | None = None
    monthly: Money | None = None


NO_BUDGET = Budget()


def check(budget: Budget, *, worst: Money, spent_in_run: Money, month: Money) -> None:
    """Refuse what could pass a cap.

    Args:
        budget: The caps.
        worst: What is still to be rented costs at most: each machine at its hard deadline.
        spent_in_run: What this run has cost so far.
        month: What the ledger has for this calendar month: this run's machines included, open ones
            at their worst case.

    Raises:
        BudgetError: with both figures, what they are made of, and what to change.
    """
