"""Whatever a run was at when its process died, the ledger names every machine there may be."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from fakes.rows import MINUTE, NOON, euro, machine_row, run_row, stage_row
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from materia_runner.ledger.costs import spent
from materia_runner.ledger.ledger import Ledger

# What a run does with one machine, in this order; a crash may come between any two.
LIFE = (
    "write intent",
    "create",
    "write created",
    "write ready",
    "begin stage",
    "end stage",
    "write destroying",
    "destroy",
    "write gone",
    "end run",
)


class Recovery(RuleBasedStateMachine):
    """A cloud, a ledger, and runs whose process dies at any point."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.ledger = Ledger(self.folder / "ledger.db")
        self.cloud: set[str] = set()
        self.ever: set[str] = set()
        self.refused: set[str] = set()
        self.runs = 0
        self.at: datetime = NOON
        self.step: int | None = None

    def teardown(self) -> None:
        self.ledger.close()
        shutil.rmtree(self.folder)

    @property
    def name(self) -> str:
        return f"machine-{self.runs}"

    @property
    def run_identity(self) -> str:
        return f"run-{self.runs}"

    @precondition(lambda self: self.step is None)
    @rule()
    def begin(self) -> None:
        self.runs += 1
        self.step = 0
        self.ledger.begin_run(run_row(self.run_identity, at=self.at))

    @precondition(lambda self: self.step is not None)
    @rule(sold_out=st.booleans())
    def go_on(self, *, sold_out: bool) -> None:
        assert self.step is not None
        what = LIFE[self.step]
        self.at += MINUTE
        self.step = None if what == "end run" else self.step + 1
        if what == "create" and sold_out:
            assert self.ledger.machine_failed(self.name, "sold out")
            self.refused.add(self.name)
            self.step = LIFE.index("end run")
        elif what == "create":
            self.cloud.add(self.name)
        elif what == "destroy":
            self.cloud.remove(self.name)
        else:
            assert self._write(what, self.run_identity, self.at) is not False

    def _write(self, what: str, run: str, at: datetime) -> bool | None:
        ledger, name = self.ledger, self.name
        if what == "write intent":
            self.ever.add(name)
        moves: dict[str, Callable[[], bool | None]] = {
            "write intent": lambda: ledger.intend_machine(machine_row(name, run=run, at=at)),
            "begin stage": lambda: ledger.begin_stage(stage_row(run=run, machine=name, at=at)),
            "write created": lambda: ledger.machine_created(
                name, id="1", region="north", created_at=None, at=at
            ),
            "write ready": lambda: ledger.machine_ready(name, host="192.0.2.1", at=at),
            "end stage": lambda: ledger.end_stage(run, "extract", 1, state="ok", at=at),
            "write destroying": lambda: ledger.machine_destroying(name, at=at),
            "write gone": lambda: ledger.machine_gone(name, at=at, cost=euro("0.01")),
            "end run": lambda: ledger.end_run(run, "ok", at=at),
        }
        return moves[what]()

    @rule(inside_a_write=st.booleans())
    def crash(self, *, inside_a_write: bool) -> None:
        """The process is gone, and with it the transaction it was in."""
        if inside_a_write:
            self.ledger._connection.execute("BEGIN IMMEDIATE")
            self.ledger._connection.execute("UPDATE machines SET state = 'gone'")
            self.ledger._connection.execute("UPDATE runs SET ended_at = 'never'")
        self.ledger._connection.close()
        self.ledger = Ledger(self.folder / "ledger.db")
        self.step = None

    @precondition(lambda self: self.step is None)
    @rule()
    def recover(self) -> None:
        """What a sweep does, when no run is alive."""
        for row in self.ledger.machines(open_only=True):
            assert self.ledger.machine_destroying(row.name, at=self.at)
            self.cloud.discard(row.name)
            assert self.ledger.machine_gone(row.name, at=self.at, cost=euro("0.02"))
        for run in self.ledger.runs():
            if run.state == "running":
                assert self.ledger.end_run(run.run, "interrupted", at=self.at)
        assert self.cloud == set()
        assert self.ledger.machines(open_only=True) == ()
        assert {run.state for run in self.ledger.runs()} <= {"ok", "interrupted"}
        assert all(
            stage.ended_at for run in self.ledger.runs() for stage in self.ledger.stages(run.run)
        )

    @invariant()
    def every_machine_there_is_is_open_in_the_ledger(self) -> None:
        assert self.cloud <= {row.name for row in self.ledger.machines(open_only=True)}

    @invariant()
    def no_machine_is_forgotten_and_none_is_made_up(self) -> None:
        rows = self.ledger.machines()
        assert sorted(row.name for row in rows) == sorted(self.ever)
        assert {row.name for row in rows if row.state == "refused"} == self.refused
        assert all((row.cost is not None) == (row.state == "gone") for row in rows)

    @invariant()
    def what_is_open_counts_with_its_worst_case(self) -> None:
        rows = self.ledger.machines()
        now = self.at + timedelta(seconds=1)
        if any(row.is_open for row in rows):
            [sum_of_all] = spent(rows, now)
            least = sum(
                row.worst.amount if row.is_open else row.cost.amount if row.cost else 0
                for row in rows
            )
            assert sum_of_all.amount >= least


TestRecovery = Recovery.TestCase
TestRecovery.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
