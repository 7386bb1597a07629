"""Metering: the bill of every emulated instance, volume, address and key.

This is independent of the runner's `pricing.cost` on purpose: that estimates the cost of a job,
this computes the charge of the emulated provider, and tests compare both.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from materia.compute import Billing, Money

HOUR = timedelta(hours=1)
HOURLY = Billing(increment=HOUR, minimum=HOUR)
FREE = Money(Decimal(0), "EUR")


@dataclass(slots=True, kw_only=True)
class Metered:
    """One resource on the bill.

    Attributes:
        kind: `instance`, `volume`, `address`, `key` or `firewall`.
        id: The service's id of it.
        name: Its name, or empty.
        region: Its region.
        hourly: Hourly price; zero for a free resource that counts against a quota.
        billing: The rounding of its time.
        started_at: When the meter starts; may be in the future.
        ended_at: When it stopped, or None.
        minimum: Minimum charge, once the meter has started.
        monthly_cap: Maximum charge in one calendar month.
        foreign: Whether it is not materia's; materia must not touch it.
    """

    kind: str
    id: str
    region: str
    started_at: datetime
    name: str = ""
    hourly: Money = FREE
    billing: Billing = HOURLY
    ended_at: datetime | None = None
    minimum: Money | None = None
    monthly_cap: Money | None = None
    foreign: bool = False

    def runs(self, now: datetime) -> bool:
        """Whether it exists at *now*: it costs money, or will."""
        return self.ended_at is None or self.ended_at > now

    def charge(self, now: datetime) -> Money:
        """Its cost by *now*; zero when its meter never started."""
        end = now if self.ended_at is None else min(now, self.ended_at)
        if self.started_at > now or (self.ended_at is not None and self.ended_at < self.started_at):
            return Money(Decimal(0), self.hourly.currency)
        amount = Decimal(0)
        for units in _units_by_month(self.billing, self.started_at, end).values():
            # Divide last: a third of an hour is not a decimal, but its price may be one.
            month = self.hourly.amount * units * _seconds(self.billing.increment) / 3600
            amount += min(month, self.monthly_cap.amount) if self.monthly_cap else month
        if self.minimum:
            amount = max(amount, self.minimum.amount)
        return Money(amount, self.hourly.currency)


class Meter:
    """The bill of one service: present and past resources."""

    def __init__(self) -> None:
        self.lines: list[Metered] = []

    def start(self, line: Metered) -> None:
        """Put *line* on the bill.

        Raises:
            ValueError: a resource of that kind and id is on the bill and not stopped.
        """
        if self.find(line.kind, line.id) is not None:
            raise ValueError(f"the {line.kind} {line.id} is metered already")
        self.lines.append(line)

    def stop(self, kind: str, identity: str, at: datetime) -> None:
        """Stop the meter of a resource; no effect if it is stopped or unknown."""
        if (line := self.find(kind, identity)) is not None:
            line.ended_at = at

    def find(self, kind: str, identity: str) -> Metered | None:
        """The line of a resource whose meter is running, or None."""
        for line in reversed(self.lines):
            if line.kind == kind and line.id == identity and line.ended_at is None:
                return line
        return None

    def running(self, now: datetime, *, foreign: bool = False) -> list[Metered]:
        """The resources of materia that still cost money at *now*; with *foreign* all others."""
        return [line for line in self.lines if line.foreign == foreign and line.runs(now)]

    def total(self, now: datetime, *, foreign: bool = False) -> dict[str, Decimal]:
        """The charge by *now*, by currency."""
        totals: dict[str, Decimal] = {}
        for line in self.lines:
            if line.foreign == foreign:
                charge = line.charge(now)
                totals[charge.currency] = totals.get(charge.currency, Decimal(0)) + charge.amount
        return totals


def _seconds(duration: timedelta) -> int:
    return int(duration.total_seconds())


def _units_by_month(
    billing: Billing, start: datetime, end: datetime
) -> dict[tuple[int, int], Decimal]:
    """Billed increments, by the calendar month in which each one begins."""
    increment = billing.increment
    if billing.alignment == "clock":
        midnight = datetime(start.year, start.month, start.day, tzinfo=UTC)
        start = midnight + (start - midnight) // increment * increment
    count = max(-(-(end - start) // increment), -(-billing.minimum // increment), 1)
    months: dict[tuple[int, int], Decimal] = {}
    first = start
    while count > 0:
        following = datetime(
            first.year + first.month // 12, first.month % 12 + 1, 1, tzinfo=first.tzinfo
        )
        here = min(count, max(1, -(-(following - first) // increment)))
        month = (first.year, first.month)
        months[month] = months.get(month, Decimal(0)) + here
        count -= here
        first += here * increment
    return months
