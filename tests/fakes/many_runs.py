"""A ledger with a history: many runs, most on rented machines, some failed, with their plans."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from fakes.rows import MINUTE, NOON, OFFER, euro, machine_row, run_row, stage_row, write_machine
from materia_runner.config.stages import STAGES
from materia_runner.ledger.state import State
from materia_runner.planning.plan import make_plan
from materia_runner.planning.plan_json import plan_values
from materia_runner.pricing.currency import Exchange

DAY = timedelta(days=1)
LARGE = replace(OFFER, vcpus=4, memory_gib=Decimal(16))
OFFERS = [
    LARGE,
    *(
        replace(LARGE, provider="bolt", instance_type=f"b{size}", hourly=euro(f"0.0{size}"))
        for size in range(13, 22)
    ),
    replace(LARGE, region="west", availability="unavailable"),
]


def write_history(state: State, count: int, *, last: str | None = None) -> list[str]:
    """Write *count* runs, a day apart, and return their identities, oldest first.

    Args:
        state: The folder of the ledger.
        count: Number of runs.
        last: Identity of the newest run; None means one like the others.
    """
    plan = plan_values(make_plan(STAGES, OFFERS, start=NOON, exchange=Exchange()))
    names = []
    with state.ledger() as ledger:
        # Thousands of steps, each of which would wait for the disk.
        ledger._connection.execute("PRAGMA synchronous = OFF")
        for number in range(count):
            at = NOON - (count - number) * DAY
            run = last if last and number == count - 1 else f"{at:%Y%m%dT%H%M%S}-{number:06x}"
            names.append(run)
            ledger.begin_run(run_row(run, at=at))
            ledger.save_plan(run, plan)
            offer = replace(OFFER, provider="bolt") if number % 3 else OFFER
            machine = machine_row(
                f"materia-{run.lower()}-both",
                run=run,
                at=at,
                stages=("extract", "transform"),
                offer=offer,
            )
            if number % 7 == 6:
                refused = f"materia-{run.lower()}-refused"
                ledger.intend_machine(machine_row(refused, run=run, at=at))
                ledger.machine_failed(refused, "acme: a2 in north is sold out")
                ledger.note(run, at=at, stage="extract", text="a2 is sold out; trying the next")
            lengths = ((2 + number % 5) * MINUTE, (5 + number % 11) * MINUTE)
            write_machine(ledger, machine, lengths=lengths)
            end = at + sum(lengths, 3 * MINUTE)
            if number % 10 == 9:
                ledger.begin_stage(replace(stage_row(run=run, machine="m", at=end), attempt=2))
                ledger.end_stage(run, "extract", 2, state="failed", at=end, error="no such file")
                ledger.end_run(run, "failed", at=end, error="extract: no such file")
            else:
                ledger.end_run(run, "ok", at=end)
    return names
