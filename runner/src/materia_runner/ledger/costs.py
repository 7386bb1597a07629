"""Cost report: sum the cost of rented machines, and the time that stages need. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from materia._dataclass import dataclass
from materia.compute import Money

from materia_runner.ledger.bills import Attempt, BilledMachine, billed, cost_so_far
from materia_runner.ledger.rows import CostRow, MachineRow, StageRow
from materia_runner.pricing.cost import MICROSECOND

NOTHING = timedelta(0)
BILLIONTH = Decimal("1e-9")


def spent(machines: Iterable[MachineRow], now: datetime) -> tuple[Money, ...]:
    """Worst-case cost of *machines*: one amount per currency, sorted by its code."""
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


def costs_of(
    machines: Iterable[MachineRow], stages: Iterable[StageRow], now: datetime
) -> tuple[CostRow, ...]:
    """Cost of those of *machines* that were rented, with the stages that ran on them."""
    attempts = [
        Attempt(f"{one.run} {one.machine}", one.stage, one.started_at, one.ended_at)
        for one in stages
    ]
    return cost_rows([billed(one, now) for one in machines if one.rented], attempts, now)


def cost_rows(
    machines: Iterable[BilledMachine],
    attempts: Iterable[Attempt],
    now: datetime,
    sums_so_far: Iterable[CostRow] = (),
) -> tuple[CostRow, ...]:
    """Cost of rented machines by month, provider and stage, in that order, plus *sums_so_far*.

    The cost of a machine is split among its stages by their time, rounded to a billionth; the last
    part gets the remainder, so the parts sum to the whole. There may be ten thousand machines, so
    this makes no object for each part.
    """
    on_machine: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        on_machine.setdefault(attempt.machine, []).append(attempt)
    sums: dict[tuple[str, ...], _Sum] = {
        (row.month, row.provider, row.stage, row.cost.currency, row.estimate.currency): _Sum(
            row.machines, row.open, row.time, row.estimate.amount, row.cost.amount
        )
        for row in sums_so_far
    }
    for machine in machines:
        time, estimate, cost = whole = (
            machine.time,
            machine.estimate.amount,
            machine.cost.amount,
        )
        weights = _weights(machine, on_machine.get(machine.key, ()), now)
        total = sum(weights.values())
        *first, last = weights
        for name in first:
            weight = weights[name]
            # In whole microseconds, because a product of timedeltas could overflow.
            its_time = MICROSECOND * (whole[0] // MICROSECOND * weight // total)
            its_estimate = (whole[1] * weight / total).quantize(BILLIONTH)
            its_cost = (whole[2] * weight / total).quantize(BILLIONTH)
            _of(sums, machine, name).add(machine.is_open, its_time, its_estimate, its_cost)
            time, estimate, cost = time - its_time, estimate - its_estimate, cost - its_cost
        _of(sums, machine, last).add(machine.is_open, time, estimate, cost)
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

    def add(self, is_open: bool, time: timedelta, estimate: Decimal, cost: Decimal) -> None:  # noqa: FBT001 -- called ten thousand times
        self.machines += 1
        self.open += is_open
        self.time += time
        self.estimate += estimate
        self.cost += cost


def _of(sums: dict[tuple[str, ...], _Sum], machine: BilledMachine, stage: str) -> _Sum:
    key = (machine.month, machine.provider, stage, machine.cost.currency, machine.estimate.currency)
    found = sums.get(key)
    if found is None:
        found = sums[key] = _Sum()
    return found


def _weights(machine: BilledMachine, attempts: Sequence[Attempt], now: datetime) -> dict[str, int]:
    """Microseconds of each stage on the machine; at least one stage, and not all zero."""
    stages = machine.stages or ("",)
    if len(stages) == 1 and all(attempt.stage == stages[0] for attempt in attempts):
        return {stages[0]: 1}
    weights = dict.fromkeys(stages, 0)
    for attempt in attempts:
        # An attempt without a recorded end ended with its machine.
        length = ((attempt.ended_at or machine.gone_at or now) - attempt.started_at) // MICROSECOND
        weights[attempt.stage] = weights.get(attempt.stage, 0) + max(length, 0)
    return weights if any(weights.values()) else dict.fromkeys(weights, 1)


def _length(machine: MachineRow, stage: StageRow, now: datetime) -> timedelta:
    # An attempt without a recorded end ended with its machine.
    return max((stage.ended_at or machine.gone_at or now) - stage.started_at, NOTHING)


def time_needed(
    done: Sequence[tuple[StageRow, MachineRow]], stages: Iterable[StageRow]
) -> timedelta | None:
    """Median time that a stage needs a machine of its own; None without an attempt.

    Args:
        done: Successful attempts, each with its machine, which is gone.
        stages: All attempts on these machines. The rest of a machine's time is boot and teardown,
            which a stage on its own machine needs in full.
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
    from statistics import median  # a plan without earlier runs does without

    return timedelta(seconds=median(length.total_seconds() for length in lengths))
