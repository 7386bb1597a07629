"""A run's instance and a single worker's are rented in one way, in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import materia_runner
import pytest
from fakes.rental import Rental, offer
from fakes.rows import machine_row, run_row
from materia.compute import Instance, InstanceRequest, Money, Requirements
from materia.errors import BudgetError, CapacityError, NoOfferError
from materia_runner.config.pipeline import NO_BUDGET, Budget
from materia_runner.ledger.run_record import new_run
from materia_runner.ledger.state import State
from materia_runner.pricing.cost import Quote
from materia_runner.pricing.ranking import rank
from materia_runner.rental.manual_worker import WorkerRequest, create_worker
from materia_runner.rental.manual_worker_files import Worker, workers

NEEDS = Requirements(vcpus=2, memory_gib=Decimal(4), disk_gib=10, expected=timedelta(hours=1))
SECRET = "tok-0123456789abcdef"  # noqa: S105 -- made up here


@dataclass(kw_only=True)
class Desk:
    """Where single workers of one provider are asked for."""

    provider: Rental
    state: State
    budget: Budget = NO_BUDGET
    say: Callable[[str], None] = lambda _: None
    announce: Callable[[Worker, Quote], None] = lambda *_: None

    def create(self) -> None:
        now = datetime.now(UTC)
        wanted = WorkerRequest(
            run=new_run(now),
            name=None,
            lifetime=timedelta(hours=1),
            directory=Path("/pipeline"),
            budget=self.budget,
            hidden=(SECRET,),
        )
        quotes = rank(self.provider.offers(NEEDS), NEEDS, start=now).quotes
        create_worker(
            wanted,
            quotes,
            {"rental": self.provider},
            state=self.state,
            say=self.say,
            announce=self.announce,
        )

    def left(self) -> list[str]:
        """What exists of workers, there and here."""
        return [*self.provider.running, *(one.name for one in workers(self.state))]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    provider = Rental(tmp_path / "rental", sold=[offer("small", hourly="0.10")])
    return Desk(provider=provider, state=State(tmp_path / "state"))


@pytest.mark.parametrize(
    ("call", "places"),
    [
        (".create_instance(", ["rental/lifecycle.py"]),
        (".intend_machine(", ["rental/instance_record.py"]),
        (".machine_created(", ["rental/instance_record.py"]),
        (".begin_run(", ["ledger/run_record.py"]),
    ],
)
def test_one_file_of_the_runner_makes_each_step_of_renting(call: str, places: list[str]) -> None:
    home = Path(materia_runner.__path__[0])

    found = [
        path.relative_to(home).as_posix()
        for path in sorted(home.rglob("*.py"))
        if call in path.read_text(encoding="utf-8")
    ]

    assert found == places


def test_a_worker_stays_after_it_is_announced(desk: Desk) -> None:
    made: list[Worker] = []
    desk.announce = lambda worker, _: made.append(worker)

    desk.create()

    assert desk.left() == [made[0].machine, "worker"]
    with desk.state.ledger() as ledger:
        assert [row.state for row in ledger.machines()] == ["ready"]
        assert [row.state for row in ledger.runs()] == ["ok"]


def test_a_worker_that_cannot_be_announced_is_destroyed(desk: Desk) -> None:
    def fail(*_: object) -> None:
        raise BrokenPipeError("nothing reads this")

    desk.announce = fail

    with pytest.raises(BrokenPipeError):
        desk.create()

    assert desk.left() == []
    with desk.state.ledger() as ledger:
        assert [row.state for row in ledger.machines()] == ["gone"]
        assert [row.state for row in ledger.runs()] == ["failed"]


def test_a_worker_that_the_cap_refuses_ends_its_run_over_budget(desk: Desk) -> None:
    desk.budget = Budget(monthly=Money(Decimal("0.05"), "EUR"))

    with pytest.raises(BudgetError, match=r"0\.0500 EUR"):
        desk.create()

    assert desk.provider.asked == []
    with desk.state.ledger() as ledger:
        assert [row.state for row in ledger.runs()] == ["over budget"]


def test_a_worker_is_not_asked_for_when_a_run_took_the_room_meanwhile(desk: Desk) -> None:
    desk.budget = Budget(monthly=Money(Decimal("0.22"), "EUR"))
    desk.provider.sold = [offer("small", hourly="0.10"), offer("large", hourly="0.20")]
    desk.provider.sold_out = {"small"}
    now = datetime.now(UTC)

    def another_run_begins(sentence: str) -> None:
        if sentence.endswith("trying the next offer"):  # the cap was compared just before
            with desk.state.ledger() as ledger:
                ledger.begin_run(run_row("other", at=now))
                ledger.intend_machine(machine_row("other", run="other", at=now))

    desk.say = another_run_begins

    with pytest.raises(BudgetError):
        desk.create()

    assert len(desk.provider.asked) == 1
    assert desk.left() == []


def test_the_ledger_has_no_secret_that_a_refusal_of_a_worker_quotes(tmp_path: Path) -> None:
    class Quoting(Rental):
        def create_instance(self, request: InstanceRequest, /) -> Instance:
            raise CapacityError(f"rental: {request.name} is sold out for {SECRET}")

    provider = Quoting(tmp_path / "rental", sold=[offer("small", hourly="0.10")])
    desk = Desk(provider=provider, state=State(tmp_path / "state"))

    with pytest.raises(NoOfferError):
        desk.create()

    with desk.state.ledger() as ledger:
        [machine], [run] = ledger.machines(), ledger.runs()
    assert machine.reason is not None
    assert "is sold out for ***" in machine.reason
    assert run.error is not None
    assert SECRET not in run.error
