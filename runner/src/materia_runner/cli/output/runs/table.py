"""Tables for `materia runs` and `materia runs cost`: as JSON values and as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from materia.compute import Money

from materia_runner.cli.output.text import table
from materia_runner.codec import decode, plain
from materia_runner.figures import elapsed_text, money_text
from materia_runner.ledger.bills import cost_so_far
from materia_runner.ledger.rows import CostRow, MachineRow, RunRow

if TYPE_CHECKING:
    from materia_runner.ledger.ledger import Ledger
    from materia_runner.ledger.state import State

Values = dict[str, Any]


def list_values(
    rows: Sequence[RunRow], state: State, ledger: Ledger, now: datetime
) -> list[Values]:
    """Each run with its machines and costs, newest first."""
    return [run_values(row, ledger.machines(run=row.run), state, now) for row in rows]


def run_values(row: RunRow, machines: Sequence[MachineRow], state: State, now: datetime) -> Values:
    """A run, how long it took, and what its machines cost."""
    alive = row.state == "running" and state.is_alive(row.run)
    ended = row.ended_at or (now if alive else None)
    rented = [one for one in machines if one.rented and one.state != "refused"]
    return {
        **plain(row),
        "alive": alive,
        "seconds": None if ended is None else (ended - row.started_at).total_seconds(),
        "instances": [
            {
                "name": one.name,
                "provider": one.provider,
                "instance_type": one.instance_type,
                "place": one.zone or one.region,
                "state": one.state,
            }
            for one in machines
        ],
        "open": sum(one.is_open for one in machines),
        "estimate": plain(sums(one.estimate for one in rented)),
        "cost": plain(sums(cost_so_far(one, now) for one in rented)),
    }


def list_text(values: Sequence[Values]) -> str:
    """A line for each run."""
    head = ("run", "started (UTC)", "took", "ended", "what", "where", "estimate", "cost", "reason")
    return table([_list_row(one) for one in values], head=head)


def _list_row(one: Values) -> tuple[str, ...]:
    where = [
        f"{machine['provider']} {machine['instance_type']}"
        for machine in one["instances"]
        if machine["state"] != "refused"
    ]
    return (
        one["run"],
        one["started_at"][:16].replace("T", " "),
        "" if one["seconds"] is None else elapsed_text(one["seconds"]),
        ended_word(one),
        what(one),
        ", ".join(dict.fromkeys(where or one["providers"])),
        amounts(one["estimate"]),
        cost_word(one),
        shortened(one["error"] or ""),
    )


def ended_word(one: Values) -> str:
    """How a run ended; `cut off` when its process was killed."""
    return "cut off" if one["state"] == "running" and not one["alive"] else str(one["state"])


def what(one: Values) -> str:
    """Source and sink of a run: `psdonline -> duckdb`."""
    if not one["source"]:
        return f"rollback -> {one['sink']}" if one["sink"] else "a worker by hand"
    return f"{one['source']} -> {one['sink']}{' (sample)' if one['sample'] else ''}"


def cost_word(one: Values) -> str:
    """The cost of a run, with `so far` while a machine still exists."""
    return amounts(one["cost"]) + (" so far" if one["open"] and one["cost"] else "")


def shortened(text: str, *, to: int = 60) -> str:
    """The first line of a reason, cut to the width of a column."""
    line = (text.splitlines() or [""])[0]
    return line if len(line) <= to else f"{line[: to - 3]}..."


def sums(amounts: Iterable[Money]) -> tuple[Money, ...]:
    """One amount for each currency, sorted by its code."""
    total: dict[str, Decimal] = {}
    for one in amounts:
        total[one.currency] = total.get(one.currency, Decimal(0)) + one.amount
    return tuple(Money(total[currency], currency) for currency in sorted(total))


def amounts(values: Sequence[Mapping[str, str]]) -> str:
    """One amount or several: `0.0123 EUR`."""
    return ", ".join(money_text(decode(Money, value)) for value in values)


def cost_values(rows: Sequence[CostRow], since: datetime | None) -> Values:
    """The rows, and sums by month, provider and stage."""
    return {
        "since": plain(since),
        "rows": [_cost_row(row) for row in rows],
        "by_month": _grouped(rows, "month", lambda row: row.month),
        "by_provider": _grouped(rows, "provider", lambda row: row.provider),
        "by_stage": _grouped(rows, "stage", lambda row: row.stage),
        "estimate": plain(sums(row.estimate for row in rows)),
        "cost": plain(sums(row.cost for row in rows)),
    }


def _cost_row(row: CostRow) -> Values:
    values: Values = plain(row)
    instances, seconds = values.pop("machines"), values.pop("time")
    return {**values, "instances": instances, "seconds": seconds}


def _grouped(rows: Sequence[CostRow], name: str, key: Callable[[CostRow], str]) -> list[Values]:
    return [
        {
            name: one,
            "seconds": sum(
                (row.time for row in rows if key(row) == one), timedelta(0)
            ).total_seconds(),
            "estimate": plain(sums(row.estimate for row in rows if key(row) == one)),
            "cost": plain(sums(row.cost for row in rows if key(row) == one)),
        }
        for one in sorted({key(row) for row in rows})
    ]


def cost_text(values: Values) -> str:
    """Render the rows as a table, with sums and a total."""
    if not values["rows"]:
        return "nothing was rented" + (f" since {values['since'][:10]}" if values["since"] else "")
    head = ("month", "provider", "stage", "machines", "time", "estimate", "cost")
    rows = [
        (
            one["month"],
            one["provider"],
            one["stage"] or "none",
            f"{one['instances']}" + (f" ({one['open']} open)" if one["open"] else ""),
            elapsed_text(one["seconds"]),
            amounts([one["estimate"]]),
            amounts([one["cost"]]),
        )
        for one in values["rows"]
    ]
    parts = [table(rows, head=head)]
    for name in ("month", "provider", "stage"):
        groups = values[f"by_{name}"]
        if len(groups) > 1:
            parts.append(
                table([_group_row(one, name) for one in groups], head=(f"by {name}", *head[4:]))
            )
    together = f"total {amounts(values['cost'])}, estimated {amounts(values['estimate'])}"
    if any(one["open"] for one in values["rows"]):
        together += "; machines that still exist count with their cost so far"
    return "\n\n".join([*parts, together])


def _group_row(one: Values, name: str) -> tuple[str, ...]:
    return (
        one[name] or "none",
        elapsed_text(one["seconds"]),
        amounts(one["estimate"]),
        amounts(one["cost"]),
    )
