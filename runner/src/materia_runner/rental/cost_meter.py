"""Cost meter: what the machines of a run cost so far, and the monthly cap."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from materia._dataclass import dataclass
from materia.compute import Money, Offer

from materia_runner.config.pipeline import Budget
from materia_runner.planning.budget import check
from materia_runner.pricing.cost import Quote, cost
from materia_runner.pricing.currency import Exchange

if TYPE_CHECKING:
    from materia_runner.ledger.ledger import Ledger

# A provider's clock may be wrong, or an emulated one run fast: then our clock is used.
TRUSTED_DIFFERENCE = timedelta(minutes=5)


@dataclass(slots=True, kw_only=True)
class _Use:
    offer: Offer
    created_at: datetime
    gone_at: datetime | None = None


class CostMeter:
    """The machines of one run, by name; used from several threads."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._lock = threading.Lock()
        self._uses: dict[str, _Use] = {}

    def begin(self, name: str, offer: Offer, at: datetime, *, said: datetime | None = None) -> None:
        """Count a machine from *at*, or from the creation time that the provider *said*."""
        if said is not None and abs(said - at) < TRUSTED_DIFFERENCE:
            at = said
        with self._lock:
            self._uses[name] = _Use(offer=offer, created_at=at)

    def end(self, name: str, at: datetime) -> Quote:
        """Stop counting a machine that is gone; returns its cost in its offer's currency."""
        with self._lock:
            use = self._uses[name]
            use.gone_at = at
        return _cost(use, at)

    @property
    def counting(self) -> bool:
        """Whether a machine still exists and costs money."""
        with self._lock:
            return any(
                use.gone_at is None and use.offer.hourly.amount for use in self._uses.values()
            )

    def total(self, at: datetime, *, gone: bool = False) -> Money:
        """Cost of all machines up to *at*, in the currency that costs are shown in.

        Args:
            at: The time, in UTC.
            gone: Only of machines that are gone, so that others can be counted at their worst case.

        Raises:
            ConfigError: a rate is missing.
        """
        with self._lock:
            uses = [use for use in self._uses.values() if use.gone_at or not gone]
        amounts = [self._exchange.convert(_cost(use, use.gone_at or at).cost)[0] for use in uses]
        return Money(sum((one.amount for one in amounts), Decimal(0)), self._exchange.shown)


def _cost(use: _Use, at: datetime) -> Quote:
    length = max(at - use.created_at, timedelta(0))
    return cost(use.offer, length, use.created_at)


def addresses_of(offer: Offer) -> Offer:
    """The offer reduced to its addresses, for an address that never got a machine."""
    return replace(
        offer,
        hourly=Money(Decimal(0), offer.hourly.currency),
        minimum=None,
        monthly_cap=None,
        extras=tuple(extra for extra in offer.extras if "address" in extra.name),
    )


def month_so_far(ledger: Ledger, exchange: Exchange, now: datetime) -> Money:
    """Cost of this calendar month's machines; running machines count with their worst case.

    Raises:
        ConfigError: a rate is missing.
    """
    amounts = [exchange.convert(one)[0].amount for one in ledger.month_spent(now.date(), now)]
    return Money(sum(amounts, Decimal(0)), exchange.shown)


def refuse_over_month(
    budget: Budget,
    ledger: Ledger,
    exchange: Exchange,
    *,
    worst: Money,
    now: datetime,
    written: bool,
) -> None:
    """Refuse an instance whose *worst* case would exceed the monthly cap.

    Checked again after the instance is *written* to the ledger: two concurrent runs may both have
    found room under the cap, and now each sees the other.

    Raises:
        BudgetError: the month could cost more than its cap.
        ConfigError: a rate is missing.
    """
    if budget.monthly is None:
        return
    exchange = replace(exchange, shown=budget.monthly.currency)
    worst, _ = exchange.convert(worst)
    month = month_so_far(ledger, exchange, now)
    before = month.amount - (worst.amount if written else 0)
    check(
        replace(budget, max_cost=None),  # that cap is for all instances of a run together
        worst=worst,
        spent_in_run=Money(Decimal(0), worst.currency),
        month=Money(before, month.currency),
    )
