"""Sums of costs that the ledger keeps: always what adding up all machines gives."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fakes.rows import MINUTE, NOON, machine_row, run_row, stage_row, write_machine
from materia_runner.ledger.bills import Attempt, billed
from materia_runner.ledger.costs import cost_rows
from materia_runner.ledger.ledger import Ledger
from materia_runner.ledger.rows import CostRow, StageRow
from materia_runner.ledger.settled_costs import ENOUGH, settled_until

HOUR = timedelta(hours=1)
COUNT = ENOUGH + 250  # an hour apart: three months
LATER = NOON + 100 * 24 * HOUR


def add_machines(ledger: Ledger, first: int, count: int) -> None:
    """Add machines of two stages, an hour apart, all gone."""
    ledger._connection.execute("PRAGMA synchronous = OFF")
    for number in range(first, first + count):
        at = NOON + number * HOUR
        ledger.begin_run(run_row(f"r{number}", at=at))
        row = machine_row(f"m{number}", run=f"r{number}", at=at, stages=("extract", "transform"))
        write_machine(ledger, row, lengths=((1 + number % 7) * MINUTE, 3 * MINUTE))


def added_up(ledger: Ledger, since: datetime = NOON) -> tuple[CostRow, ...]:
    """Compute the costs from whole rows, without any sums."""
    machines = [one for one in ledger.machines() if one.rented and one.intended_at >= since]
    attempts = [
        Attempt(f"{one.run} {one.machine}", one.stage, one.started_at, one.ended_at)
        for one in ledger._rows(StageRow, "stages", "attempt > 0")
    ]
    return cost_rows([billed(one, LATER) for one in machines], attempts, LATER)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger of many runs, never asked for costs."""
    path = tmp_path_factory.mktemp("many") / "ledger.db"
    with Ledger(path) as ledger:
        add_machines(ledger, 0, COUNT)
    return path


@pytest.fixture
def unsettled(many: Path, tmp_path: Path) -> Iterator[Ledger]:
    shutil.copy(many, tmp_path / "ledger.db")
    with Ledger(tmp_path / "ledger.db") as ledger:
        yield ledger


@pytest.fixture
def settled(unsettled: Ledger) -> Ledger:
    assert len(unsettled.costs(now=LATER)) == 4
    assert settled_until(unsettled._connection) == COUNT
    return unsettled


def test_sums_are_kept_once_there_are_many_machines_and_are_those_of_all(settled: Ledger) -> None:
    ledger = settled
    assert ledger.costs(now=LATER) == added_up(ledger)
    for since in (NOON, NOON + 5 * HOUR, NOON + 500 * HOUR, LATER):
        assert ledger.costs(since=since, now=LATER) == added_up(ledger, since)

    add_machines(ledger, COUNT, 5)
    assert ledger.costs(now=LATER) == added_up(ledger)
    assert settled_until(ledger._connection) == COUNT
    add_machines(ledger, COUNT + 5, ENOUGH)
    assert ledger.costs(now=LATER) == added_up(ledger)
    assert settled_until(ledger._connection) == COUNT + 5 + ENOUGH


def test_what_is_open_keeps_later_machines_out_of_the_sums(ledger: Ledger) -> None:
    add_machines(ledger, 0, 10)
    ledger.begin_run(run_row("open", at=NOON))
    ledger.intend_machine(machine_row("open", run="open", at=NOON))
    add_machines(ledger, 10, ENOUGH)

    rows = ledger.costs(now=LATER)

    assert sum(row.open for row in rows) == 1
    assert settled_until(ledger._connection) == 0
    ledger.machine_gone("open", at=NOON + HOUR, cost=machine_row().estimate, lines=())
    assert sum(row.open for row in ledger.costs(now=LATER)) == 0
    assert settled_until(ledger._connection) == ENOUGH + 11
    assert ledger.costs(now=LATER) == added_up(ledger)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE machines SET cost = '7 EUR' WHERE number = 3",
        "UPDATE machines SET intended_at = '2027-06-01T00:00:00+00:00' WHERE number = 3",
        "DELETE FROM machines WHERE number = 3",
        "UPDATE stages SET ended_at = '2027-06-01T00:00:00+00:00' WHERE run = 'r3'",
        "DELETE FROM stages WHERE run = 'r3' AND stage = 'extract'",
        """INSERT INTO stages (run, stage, attempt, machine, provider, started_at, state)
           VALUES ('r3', 'more', 7, 'm3', 'acme', '2026-11-20T00:00:00+00:00', 'running')""",
    ],
)
def test_a_change_of_a_settled_machine_makes_the_sums_anew(settled: Ledger, change: str) -> None:
    before = settled.costs(now=LATER)
    connection = sqlite3.connect(settled.path)  # any version of materia, any tool
    with connection:
        connection.execute(change)
    connection.close()

    after = settled.costs(now=LATER)

    assert after != before
    assert after == added_up(settled)


def test_a_change_of_later_machines_leaves_the_sums(settled: Ledger) -> None:
    settled.begin_run(run_row("later", at=LATER))
    settled.intend_machine(machine_row("later", run="later", at=LATER))
    settled.begin_stage(stage_row("extract", run="later", machine="later", at=LATER))

    assert settled_until(settled._connection) == COUNT


def test_sums_that_cannot_be_written_are_computed(unsettled: Ledger) -> None:
    unsettled._connection.execute("PRAGMA query_only = ON")

    assert sum(row.machines for row in unsettled.costs(now=LATER)) == 2 * COUNT
    assert settled_until(unsettled._connection) == 0
