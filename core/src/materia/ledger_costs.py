"""Sums over what was rented: what it cost, and how long it was needed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median

from materia.cost import MICROSECOND, cost
from materia.ledger_rows import CostRow, MachineRow, StageRow
from materia.machines import Money

NOTHING = timedelta(0)


def cost_so_far(machine: MachineRow, now: datetime) -> Money:
    """What *machine* came to, or comes to when it is gone *now*; in the currency of its price.

    One that was asked for and never heard of counts as if it existed since.
    """
    if machine.cost is not None:
        return machine.cost
    if machine.state == "refused":
        return Money(Decimal(0), machine.offer.hourly.currency)
    start = machine.created_at or machine.intended_at
    return cost(machine.offer, machine.lasted(now), start).cost


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
    machines: Iterable[MachineRow], stages: Iterable[StageRow], now: datetime
) -> tuple[CostRow, ...]:
    """What rented machines cost by month, provider and stage, in that order."""
    on_machine: dict[tuple[str, str], list[StageRow]] = {}
    for stage in stages:
        on_machine.setdefault((stage.run, stage.machine), []).append(stage)
    rows: dict[tuple[str, ...], CostRow] = {}
    for machine in machines:
        if not machine.rented or machine.state == "refused":
            continue
        for row in _shares(machine, on_machine.get((machine.run, machine.name), []), now):
            key = (row.month, row.provider, row.stage, row.cost.currency, row.estimate.currency)
            rows[key] = _sum(rows[key], row) if key in rows else row
    return tuple(rows[key] for key in sorted(rows))


def _sum(one: CostRow, other: CostRow) -> CostRow:
    return replace(
        one,
        machines=one.machines + other.machines,
        open=one.open + other.open,
        time=one.time + other.time,
        estimate=replace(one.estimate, amount=one.estimate.amount + other.estimate.amount),
        cost=replace(one.cost, amount=one.cost.amount + other.cost.amount),
    )


def _shares(machine: MachineRow, stages: Sequence[StageRow], now: datetime) -> list[CostRow]:
    """The machine divided among its stages by the time they took; the parts sum to the whole."""
    weights = dict.fromkeys(machine.stages or ("",), NOTHING)
    for stage in stages:
        weights[stage.stage] = weights.get(stage.stage, NOTHING) + _length(machine, stage, now)
    if not any(weights.values()):
        weights = dict.fromkeys(weights, MICROSECOND)
    whole = cost_so_far(machine, now)
    amounts = _divided(whole.amount, weights)
    estimates = _divided(machine.estimate.amount, weights)
    times = _divided(Decimal(machine.lasted(now) // MICROSECOND), weights)
    return [
        CostRow(
            month=f"{machine.intended_at:%Y-%m}",
            provider=machine.provider,
            stage=name,
            machines=1,
            open=int(machine.is_open),
            time=int(times[name]) * MICROSECOND,
            estimate=replace(machine.estimate, amount=estimates[name]),
            cost=replace(whole, amount=amounts[name]),
        )
        for name in weights
    ]


def _length(machine: MachineRow, stage: StageRow, now: datetime) -> timedelta:
    # An attempt nobody saw the end of ended with its machine.
    return max((stage.ended_at or machine.gone_at or now) - stage.started_at, NOTHING)


def _divided(whole: Decimal, weights: Mapping[str, timedelta]) -> dict[str, Decimal]:
    """*whole* in proportion to *weights*, to a billionth; the last part has what is left over."""
    total = sum(weights.values(), NOTHING)
    parts: dict[str, Decimal] = {}
    left = whole
    for name, weight in weights.items():
        part = whole * (weight // MICROSECOND) / (total // MICROSECOND)
        parts[name] = part.quantize(Decimal("1e-9"))
        left -= parts[name]
    parts[name] += left
    return parts


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
