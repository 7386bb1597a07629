"""Table of running machines for `materia worker list`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from materia.compute import Money

from materia_runner.cli.output.text import table
from materia_runner.figures import moment_text, money_text
from materia_runner.rental import manual_worker_files as worker_keys

if TYPE_CHECKING:
    from materia.compute import Instance

    from materia_runner.ledger.rows import MachineRow
    from materia_runner.ledger.state import State

HEAD = ("name", "provider", "type", "region", "address", "since", "until", "cost so far", "for")


def rows_of(
    listed: Sequence[tuple[str, Instance]], state: State, *, now: datetime
) -> list[dict[str, Any]]:
    """A row for each machine as JSON values; cost only when the ledger here has the price."""
    from materia_runner.rental.manual_worker import STAGE
    from materia_runner.rental.sweep_ledger import bill

    known = {worker.machine: worker for worker in worker_keys.workers(state)}
    ledger = _open_machines(state)
    rows = []
    for provider, instance in listed:
        worker, machine = known.get(instance.name), ledger.get(instance.name)
        cost = bill(machine, at=now, said=instance.created_at).cost if machine else None
        rows.append(
            {
                "name": worker.name if worker else instance.name,
                "instance": instance.name,
                "provider": provider,
                "id": instance.id,
                "run": instance.run,
                "stage": instance.stage,
                "by_hand": instance.stage == STAGE,
                "instance_type": instance.instance_type,
                "region": instance.region,
                "host": instance.host,
                "created_at": instance.created_at and instance.created_at.isoformat(),
                "expires_at": instance.expires_at.isoformat(),
                "expired": instance.expires_at <= now,
                "cost": cost and {"amount": f"{cost.amount:f}", "currency": cost.currency},
                "attached": [f"{one.kind} {one.id}" for one in instance.attached],
            }
        )
    return rows


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Render the rows as a table."""
    if not rows:
        return "no machines"
    return table([_cells(row) for row in rows], head=HEAD)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    what = "created by hand" if row["by_hand"] else f"{row['stage']} of {row['run']}"
    return (
        row["name"],
        row["provider"],
        row["instance_type"] or "leftovers",
        row["region"],
        row["host"] or "",
        _moment(row["created_at"]),
        _moment(row["expires_at"]) + (" (expired: materia sweep)" if row["expired"] else ""),
        _cost(row["cost"]),
        what,
    )


def _moment(text: str | None) -> str:
    return moment_text(datetime.fromisoformat(text)) if text else ""


def _cost(cost: Mapping[str, str] | None) -> str:
    from decimal import Decimal

    return money_text(Money(Decimal(cost["amount"]), cost["currency"])) if cost else ""


def _open_machines(state: State) -> dict[str, MachineRow]:
    if not state.ledger_file.exists():
        return {}
    with state.ledger() as ledger:
        return {row.name: row for row in ledger.machines(open_only=True)}
