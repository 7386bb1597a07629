"""Runs that are killed at any moment, again and again: nothing is left, lost or doubled."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import duckdb
import pytest
from fakes.rented import Rented
from fakes.workshop import DEADLINE_SECONDS, Workshop
from materia_runner.ledger.state import State
from materia_testing.emulation.ssh_machines import sandbox

PROVIDERS = ("hetzner", "ovh", "scaleway", "oracle")
RENTED_KILLS = 100
LOCAL_KILLS = 200
PATIENCE = timedelta(minutes=15)  # more than a sweep keeps an entry open that is not listed


def tables(database: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every published table, its rows in some fixed order; none before the first publication."""
    if not database.exists():
        return {}
    with duckdb.connect(str(database), read_only=True) as connection:
        names = connection.execute("SELECT name FROM publication.tables").fetchall()
        return {
            name: sorted(connection.execute(f"FROM {name}").fetchall(), key=repr)
            for (name,) in names
        }


def killed_after(
    start: Callable[[], subprocess.Popen[str]], seconds: float, *, group: bool
) -> bool:
    """Kill a run, or it and all it started here, after so many seconds; whether it still ran."""
    process = start()
    try:
        _, stderr = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        if group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.communicate()
        return True
    assert process.returncode == 0, stderr
    return False


def seconds_of(run: Callable[[], subprocess.CompletedProcess[str]]) -> float:
    """How long a run takes that succeeds."""
    begun = time.monotonic()
    done = run()
    assert done.returncode == 0, done.stderr
    return time.monotonic() - begun


@pytest.mark.campaign
def test_local_runs_killed_at_any_moment_lose_and_double_nothing(workshop: Workshop) -> None:
    chance = random.Random(1)  # noqa: S311 -- the same moments each time
    run = ("run", "--sample")
    length = seconds_of(partial(workshop.run, *run))
    database = workshop.directory / "materia.duckdb"
    whole = tables(database)
    assert whole
    kills = 0
    for number in range(4 * LOCAL_KILLS):
        if number % 4 == 0:  # from nothing: a run with all to do
            for file in workshop.directory.glob("materia.duckdb*"):
                file.unlink()
        moment, group = chance.uniform(0, length), chance.random() < 1 / 2
        kills += killed_after(partial(start_apart, workshop, *run), moment, group=group)
        found = tables(database)
        assert found in ({}, whole), f"after kill {kills}"
        if number % 4 == 3:
            done = workshop.run(*run)
            assert done.returncode == 0, done.stderr
            assert tables(database) == whole
            assert workshop.workers() == []
        if kills >= LOCAL_KILLS:
            break

    assert kills >= LOCAL_KILLS
    assert workshop.run(*run).returncode == 0
    assert workshop.run("sweep").returncode == 0
    assert tables(database) == whole
    assert workshop.workers() == []
    left = {path.name for path in workshop.directory.iterdir()} - {"materia.duckdb", "data"}
    assert not {name for name in left if name.startswith("materia.duckdb.")}, left


def start_apart(workshop: Workshop, *arguments: str) -> subprocess.Popen[str]:
    """Start a run in a process group of its own."""
    return subprocess.Popen(
        workshop.command(*arguments),
        cwd=workshop.directory,
        env=workshop.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def rented(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rented]:
    cache = tmp_path_factory.getbasetemp().parent / "cache"
    with Rented(workshop, PROVIDERS, cache=cache) as rented:
        yield rented


@pytest.mark.campaign
@pytest.mark.skipif(bool(sandbox.why_not()), reason=str(sandbox.why_not()))
def test_rented_runs_killed_at_any_moment_leave_nothing_after_one_sweep(rented: Rented) -> None:
    chance = random.Random(1)  # noqa: S311 -- the same moments each time
    database = rented.workshop.directory / "materia.duckdb"
    lengths = {
        name: seconds_of(partial(rented.run, "run", "--sample", "--provider", name))
        for name in PROVIDERS
    }
    whole = tables(database)
    kills = with_machine = 0
    for number in range(4 * RENTED_KILLS):
        provider = PROVIDERS[number % len(PROVIDERS)]
        run = ("run", "--sample", "--provider", provider)
        if number % 3 == 0:
            database.unlink(missing_ok=True)
        moment = chance.uniform(0, lengths[provider])
        kills += killed_after(partial(rented.start, *run), moment, group=False)
        with_machine += bool(rented.left())
        swept = rented.run("sweep", "--all-providers")
        # A machine that was asked for at the last moment appears when its provider has made it.
        end = time.monotonic() + DEADLINE_SECONDS
        while rented.left() and time.monotonic() < end:
            swept = rented.run("sweep", "--all-providers")
        assert rented.left() == [], (number, swept.stdout, swept.stderr)
        assert tables(database) in ({}, whole), number
        if kills >= RENTED_KILLS:
            break

    assert kills >= RENTED_KILLS
    assert with_machine > RENTED_KILLS // 4, "hardly any kill met a machine"
    for cloud in rented.clouds.values():
        cloud.behaviour.clock_ahead = PATIENCE
    swept = rented.run("sweep", "--all-providers")
    assert swept.returncode == 0, swept.stderr
    done = rented.run("run", "--sample", "--json")
    assert done.returncode == 0, done.stderr
    assert tables(database) == whole
    assert rented.workshop.workers() == []
    with State(rented.workshop.home / ".local/state/materia").ledger() as ledger:
        assert ledger.machines(open_only=True) == ()
    assert [row for row in rented.runs() if row["state"] == "running"] == []
