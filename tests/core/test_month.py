"""The monthly cap holds for runs that begin at the same moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.rental import offer
from materia.compute import Money
from materia.errors import BudgetError
from materia_runner.config.pipeline import Budget
from materia_runner.ledger.ledger import Ledger
from materia_runner.ledger.rows import MachineRow, RunRow
from materia_runner.ledger.state import State
from materia_runner.pricing.currency import Exchange
from materia_runner.rental.cost_meter import CostMeter, refuse_over_month
from materia_runner.rental.instance_record import InstanceRecord
from materia_runner.run.recorder import InstanceReports, Recorder

NOW = datetime.now(UTC)
CAP = Budget(monthly=Money(Decimal("1.00"), "EUR"))


def life_of(run: str, state: State, ledger: Ledger, worst: str) -> InstanceRecord:
    """The machine of a run that found room under the cap."""
    ledger.begin_run(RunRow(run=run, started_at=NOW))
    amount = Money(Decimal(worst), "EUR")
    row = MachineRow(
        name=f"materia-{run}",
        run=run,
        stages=("extract",),
        provider="rental",
        region="here",
        instance_type="small",
        offer=offer("small", hourly="0.10"),
        estimate=amount,
        worst=amount,
        expires_at=NOW + timedelta(hours=1),
        intended_at=NOW,
    )
    recorder = Recorder(run, state=state, ledger=ledger, observe=lambda *_: None, hidden=())
    return InstanceRecord(
        ledger=ledger,
        cost_meter=CostMeter(Exchange()),
        row=row,
        reporter=InstanceReports(recorder, "extract"),
        check_cap=lambda: refuse_over_month(
            CAP, ledger, Exchange(), worst=amount, now=NOW, written=True
        ),
        secure=lambda: None,
    )


def test_of_two_runs_that_both_found_room_the_second_asks_for_no_machine(tmp_path: Path) -> None:
    state = State(tmp_path)
    with state.ledger() as ledger:
        first, second = (life_of(run, state, ledger, "0.60") for run in ("one", "two"))
        first.requesting()

        with pytest.raises(BudgetError, match=r"1\.2000 EUR"):
            second.requesting()

        states = {row.run: row.state for row in ledger.machines()}
    assert states == {"one": "intent", "two": "refused"}


def test_two_that_fit_under_the_cap_are_both_asked_for(tmp_path: Path) -> None:
    state = State(tmp_path)
    with state.ledger() as ledger:
        for run in ("one", "two"):
            life_of(run, state, ledger, "0.50").requesting()

        assert {row.state for row in ledger.machines()} == {"intent"}
