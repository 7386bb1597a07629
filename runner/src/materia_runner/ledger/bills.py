"""Cost of a machine, read from the few ledger columns that sums over many machines need."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from typing import NamedTuple

from materia.compute import Money

from materia_runner.ledger.rows import MachineRow
from materia_runner.pricing.cost import cost

# SQL condition for rented machines: your own machine costs nothing.
RENTED = (
    "(CAST(json_extract(offer, '$.hourly.amount') AS REAL) > 0 OR EXISTS (SELECT 1 FROM"
    " json_each(offer, '$.extras') WHERE CAST(json_extract(value, '$.hourly.amount') AS REAL) > 0))"
)
# To each of these queries the caller adds a condition on the machine.
GONE_MACHINES = (
    "SELECT run || ' ' || name, stages, provider, intended_at, created_at, gone_at, estimate, cost"
    f" FROM machines AS machine WHERE state = 'gone' AND cost IS NOT NULL AND {RENTED} AND "
)
ATTEMPTS = (
    "SELECT stages.run || ' ' || stages.machine, stage, started_at, ended_at"
    " FROM machines AS machine"
    " JOIN stages ON stages.run = machine.run AND stages.machine = machine.name WHERE "
)


class BilledMachine(NamedTuple):
    """A rented machine and its cost.

    Attributes:
        key: Identity of its run and its name, with a space between them.
        stages: Names of the stages it was for.
        provider: Name of the provider.
        month: Month of the request, in UTC: `2026-11`.
        gone_at: When it was gone, or None.
        is_open: Whether it may cost money now.
        time: How long it has existed.
        estimate: Estimated cost.
        cost: Actual cost so far.
    """

    key: str
    stages: tuple[str, ...]
    provider: str
    month: str
    gone_at: datetime | None
    is_open: bool
    time: timedelta
    estimate: Money
    cost: Money


class Attempt(NamedTuple):
    """One attempt at a stage: the key of its machine, its start and its end."""

    machine: str
    stage: str
    started_at: datetime
    ended_at: datetime | None


def cost_so_far(machine: MachineRow, now: datetime) -> Money:
    """The cost of *machine*, or its cost if it were gone *now*; in the currency of its price.

    A machine that was requested and never confirmed counts from the request on.
    """
    if machine.cost is not None:
        return machine.cost
    if machine.state == "refused":
        return Money(Decimal(0), machine.offer.hourly.currency)
    start = machine.created_at or machine.intended_at
    return cost(machine.offer, machine.lasted(now), start).cost


def billed(machine: MachineRow, now: datetime) -> BilledMachine:
    """The fields of *machine* that a sum needs."""
    return BilledMachine(
        key=f"{machine.run} {machine.name}",
        stages=machine.stages,
        provider=machine.provider,
        month=f"{machine.intended_at:%Y-%m}",
        gone_at=machine.gone_at,
        is_open=machine.is_open,
        time=machine.lasted(now),
        estimate=machine.estimate,
        cost=cost_so_far(machine, now),
    )


def gone_machine(columns: Iterable[str]) -> BilledMachine:
    """The machine in the columns of GONE_MACHINES."""
    key, stages, provider, intended_at, created_at, gone_at, estimate, paid = columns
    began, gone = datetime.fromisoformat(created_at or intended_at), datetime.fromisoformat(gone_at)
    return BilledMachine(
        key=key,
        stages=_names(stages),
        provider=provider,
        month=intended_at[:7],
        gone_at=gone,
        is_open=False,
        time=max(gone - began, timedelta(0)),
        estimate=_money(estimate),
        cost=_money(paid),
    )


def attempt(columns: Iterable[str]) -> Attempt:
    """The attempt in the columns of ATTEMPTS."""
    machine, stage, started_at, ended_at = columns
    ended = datetime.fromisoformat(ended_at) if ended_at else None
    return Attempt(machine, stage, datetime.fromisoformat(started_at), ended)


@cache
def _names(stages: str) -> tuple[str, ...]:
    return tuple(json.loads(stages))


@lru_cache(maxsize=10_000)  # estimates recur
def _money(text: str) -> Money:
    amount, _, currency = text.partition(" ")
    return Money(Decimal(amount), currency)
