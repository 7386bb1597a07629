"""A ledger, a `known.json` and a `published.json` written by commit 569fad0 are read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.graveyard import Graveyard
from fakes.rentals import BY_THE_HOUR
from fakes.workshop import Workshop
from materia.compute import Money
from materia_runner.ledger.state import State
from materia_runner.rental.sweep import sweep_provider
from materia_store import known_partitions
from materia_store.bucket import pointer

FILES = Path(__file__).with_name("files_of_569fad0")
GOOD, KILLED = "20261124T120000-ab12cd", "20261124T130000-ab34ef"
LEFT = f"materia-{KILLED.lower()}-extract"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def state(workshop: Workshop) -> State:
    """What the old materia left in the home folder: a good run, and one that was killed."""
    state = State(workshop.home / ".local/state/materia")
    state.folder.mkdir(parents=True)
    with closing(sqlite3.connect(state.ledger_file)) as ledger:
        ledger.executescript((FILES / "ledger.sql").read_text(encoding="utf-8"))
    alive = state.folder / "alive"
    alive.mkdir()
    (alive / KILLED).touch()  # nobody has it locked: the process is gone
    return state


def test_runs_instances_and_costs_of_an_old_ledger_are_read(state: State) -> None:
    with state.ledger() as ledger:
        runs = {row.run: row for row in ledger.runs()}
        machines = ledger.machines()
        stages = ledger.stages(GOOD)
        spent = ledger.month_spent(NOON.date(), NOON + timedelta(hours=2))

    assert [runs[run].state for run in (GOOD, KILLED)] == ["ok", "running"]
    assert runs[GOOD].max_cost == Money(Decimal("0.50"), "EUR")
    assert [row.state for row in machines] == ["gone", "refused", "ready"]
    assert machines[0].offer.hourly == Money(Decimal("0.012"), "EUR")
    assert machines[0].offer.extras[0].name == "address"
    assert machines[0].cost == Money(Decimal("0.00315"), "EUR")
    assert [line.name for line in machines[0].lines] == ["a2 in north", "address"]
    assert [(one.stage, one.state, one.expected) for one in stages] == [
        ("extract", "ok", timedelta(minutes=10)),
        ("transform", "ok", timedelta(minutes=10)),
    ]
    assert spent == (Money(Decimal("0.02835"), "EUR"),)


def test_an_old_run_is_shown_with_its_plan(workshop: Workshop, state: State) -> None:
    assert state.ledger_file.exists()

    shown = workshop.run("runs", "show", GOOD)

    assert shown.returncode == 0, shown.stderr
    assert "plan: expected to cost 0.0040 EUR, at most 0.0294 EUR" in shown.stdout
    assert "1  acme      a2    north  0.0040 EUR  available" in shown.stdout
    assert "a2 is sold out; trying the next offer" in shown.stdout


def test_what_an_old_run_left_behind_is_swept(tmp_path: Path, state: State) -> None:
    settings = {"delay": "0", "failure": ""}
    grave = tmp_path / "graves" / LEFT
    grave.parent.mkdir()
    now = NOON + timedelta(hours=2)
    grave.write_text(f"{KILLED} {(now + timedelta(hours=1)).isoformat()}")
    provider = Graveyard("acme", settings, {}, BY_THE_HOUR, folder=grave.parent)

    swept = sweep_provider(provider, name="acme", state=state, now=now)

    assert [one.instance.name for one in swept.found] == [LEFT]
    assert not grave.exists()
    with state.ledger() as ledger:
        assert [row.state for row in ledger.machines()] == ["gone", "refused", "gone"]
        assert ledger.run(KILLED).state == "interrupted"
    assert state.unfinished() == ()


def test_what_an_old_materia_knows_of_a_partition_is_read_and_written_alike() -> None:
    text = (FILES / "known.json").read_text(encoding="utf-8")

    memory = known_partitions.decode(text.encode(), "known.json")

    assert memory.known.raw == memory.files[1]
    assert memory.known.raw is not None
    assert memory.known.raw.fetched_at == NOON
    assert known_partitions.encode(memory) == text


def test_what_an_old_materia_published_in_a_bucket_is_read_and_written_alike() -> None:
    text = (FILES / "published.json").read_bytes()

    published = pointer.decode(text, "published.json")

    assert (published.size, published.tables[0].name) == (4096, "serving.fct_balance")
    assert pointer.encode(published) == text
