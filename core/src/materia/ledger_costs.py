"""Sums over what was rented: what it cost, and how long it was needed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median
from typing import NamedTuple

from materia.cost import MICROSECOND
from materia.ledger_bills import Attempt, BilledMachine, cost_so_far
from materia.ledger_rows import CostRow, MachineRow, StageRow
from materia.machines import Money

NOTHING = timedelta(0)
BILLIONTH = Decimal("1e-9")


def spent(machines: Iterable[MachineRow], now: datetime) -> tuple[Money, ...]:
    """What *machines* cost at worst, one amount for each currency, sorted by its code."""
    sums: dict[str, Decimal] = {}
    for machine in machines:
        if not machine.rented or machine.state == "refused":
            continue
        amount = cost_so_far(machine, now)
        worst = machine.worst
        if machine.is_open and (worst.currency != amount.currency or worst.amount > amount.amount):
            amount = worst
        sums[amount.currency] = sums.get(amount.currency, Decimal(0)) + amount.amount
    return tuple(Money(sums[currency], currency) for currency in sorted(sums))


def cost_rows(
    machines: Iterable[BilledMachine], attempts: Iterable[Attempt], now: datetime
) -> tuple[CostRow, ...]:
    """What rented machines cost by month, provider and stage, in that order."""
    on_machine: dict[tuple[str, str], list[Attempt]] = {}
    for attempt in attempts:
        on_machine.setdefault((attempt.run, attempt.machine), []).append(attempt)
    sums: dict[tuple[str, ...], _Sum] = {}
    for machine in machines:
        for share in _shares(machine, on_machine.get((machine.run, machine.name), ()), now):
            key = (
                machine.month,
                machine.provider,
                share.stage,
                machine.cost.currency,
                machine.estimate.currency,
            )
            found = sums.get(key)
            if found is None:
                found = sums[key] = _Sum()
            found.machines += 1
            found.open += machine.is_open
            found.time += share.time
            found.estimate += share.estimate
            found.cost += share.cost
    return tuple(
        CostRow(
            month=key[0],
            provider=key[1],
            stage=key[2],
            machines=found.machines,
            open=found.open,
            time=found.time,
            estimate=Money(found.estimate, key[4]),
            cost=Money(found.cost, key[3]),
        )
        for key, found in sorted(sums.items(), key=lambda item: item[0])
    )


@dataclass(slots=True)
class _Sum:
    machines: int = 0
    open: int = 0
    time: timedelta = NOTHING
    estimate: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)


class _Share(NamedTuple):
    """The part of a machine that one stage had."""

    stage: str
    time: timedelta
    estimate: Decimal
    cost: Decimal


def _shares(machine: BilledMachine, attempts: Sequence[Attempt], now: datetime) -> list[_Share]:
    """The machine divided among its stages by the time they took, to a billionth.

    The last part has what is left over, so the parts sum to the whole.
    """
    weights = dict.fromkeys(machine.stages or ("",), NOTHING)
    for attempt in attempts:
        # An attempt whose end was never written down ended with its machine.
        ended = attempt.ended_at or machine.gone_at or now
        length = max(ended - attempt.started_at, NOTHING)
        weights[attempt.stage] = weights.get(attempt.stage, NOTHING) + length
    if len(weights) == 1:
        [only] = weights
        return [_Share(only, machine.time, machine.estimate.amount, machine.cost.amount)]
    if not any(weights.values()):
        weights = dict.fromkeys(weights, MICROSECOND)
    total = sum(weights.values(), NOTHING) // MICROSECOND
    left = _Share("", machine.time, machine.estimate.amount, machine.cost.amount)
    *first, last = weights
    shares = []
    for name in first:
        weight = weights[name] // MICROSECOND
        share = _Share(
            name,
            machine.time * weight // total,
            (machine.estimate.amount * weight / total).quantize(BILLIONTH),
            (machine.cost.amount * weight / total).quantize(BILLIONTH),
        )
        shares.append(share)
        left = _Share(
            "", left.time - share.time, left.estimate - share.estimate, left.cost - share.cost
        )
    return [*shares, left._replace(stage=last)]


def _length(machine: MachineRow, stage: StageRow, now: datetime) -> timedelta:
    # An attempt whose end was never written down ended with its machine.
    return max((stage.ended_at or machine.gone_at or now) - stage.started_at, NOTHING)


def time_needed(
    done: Sequence[tuple[StageRow, MachineRow]], stages: Iterable[StageRow]
) -> timedelta | None:
    """How long a machine of its own is needed for a stage: the median; None without any attempt.

    Args:
        done: Attempts that succeeded, each with its machine, which is gone.
        stages: All attempts on these machines: what is left of a machine's time is its boot and
            its teardown, and a stage on a machine of its own has them whole.
    """
    if not done:
        return None
    busy: dict[tuple[str, str], timedelta] = {}
    machines = {(machine.run, machine.name): machine for _, machine in done}
    for one in stages:
        key = (one.run, one.machine)
        if key in machines:
            length = _length(machines[key], one, one.started_at)
            busy[key] = busy.get(key, NOTHING) + length
    lengths = [
        _length(machine, stage, stage.started_at)
        + max(machine.lasted(stage.started_at) - busy[machine.run, machine.name], NOTHING)
        for stage, machine in done
    ]
    return timedelta(seconds=median(length.total_seconds() for length in lengths))
