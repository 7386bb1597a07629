"""`materia run` on rented machines, whole: real SDKs, emulated clouds, real OpenSSH."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from fakes.examples import of_each_kind
from fakes.rented import Rented, events
from fakes.workshop import Workshop
from materia_runner.ledger.state import State
from materia_testing.emulation.ssh_machines import sandbox

PROVIDERS = ("hetzner", "ovh", "scaleway", "oracle")
pytestmark = pytest.mark.skipif(bool(sandbox.why_not()), reason=str(sandbox.why_not()))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What workers run is put together once for all tests, in all their processes."""
    return tmp_path_factory.getbasetemp().parent / "cache"


@pytest.fixture
def rent(workshop: Workshop, cache: Path) -> Iterator[Callable[..., Rented]]:
    made: list[Rented] = []

    def start(*providers: str, pipeline: str = "") -> Rented:
        rented = Rented(workshop, providers, cache=cache, pipeline=pipeline)
        made.append(rented)
        return rented

    yield start
    for rented in made:
        with rented:
            pass


def tables(database: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every published table, its rows in some fixed order."""
    with duckdb.connect(str(database), read_only=True) as connection:
        names = connection.execute("SELECT name FROM publication.tables").fetchall()
        return {
            name: sorted(connection.execute(f"FROM {name}").fetchall(), key=repr)
            for (name,) in names
        }


@pytest.fixture(scope="session")
def at_home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[object, ...]]]:
    """The tables of the sample, built on this machine."""
    workshop = Workshop(tmp_path_factory.mktemp("home"))
    done = workshop.run("run", "--sample")
    assert done.returncode == 0, done.stderr
    return tables(workshop.directory / "materia.duckdb")


@pytest.mark.slow
@pytest.mark.parametrize(
    "provider",
    # Each provider's contract reaches its machines; a whole run on each takes minutes.
    [PROVIDERS[0], *(pytest.param(one, marks=pytest.mark.campaign) for one in PROVIDERS[1:])],
)
def test_a_pipeline_on_a_rented_machine_gives_the_tables_of_one_at_home(
    rent: Callable[..., Rented],
    provider: str,
    at_home: dict[str, list[tuple[object, ...]]],
) -> None:
    rented = rent(provider)

    done = rented.run("run", "--sample", "--provider", provider, "--json")

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert tables(rented.workshop.directory / "materia.duckdb") == at_home
    assert rented.left() == []
    ledger = rented.ledger(report["run"])
    costs = [Decimal(machine["cost"]["amount"]) for machine in ledger["instances"]]
    assert round(sum(costs), 2) == round(rented.billed(), 2)
    assert {event["event"] for event in events(done.stderr)} >= {"instance", "progress", "spent"}


# What is on standard error when the runner is killed, and so how far it has come. A machine that
# was asked for and never answered is in test_sweep.py: there a sweep waits.
POINTS = ('"state": "created"', '"phase": "fetch"', '"event": "result"')


def kill_at(rented: Rented, word: str, *arguments: str) -> None:
    """Start a run, and kill it the moment it has said *word*."""
    heard = []
    with rented.start(*arguments, "--json") as process:
        assert process.stderr is not None
        for line in process.stderr:
            heard.append(line)
            if word in line:
                process.kill()
                return
    raise AssertionError(f"it never said {word}: {''.join(heard)}")


def assert_young(rented: Rented) -> None:
    """Look that a killed run is as young as its machine, however long before that it began.

    Without a ledger, a sweep of all providers forgets a run by this.
    """
    state = State(rented.workshop.home / ".local/state/materia")
    with state.ledger() as ledger:
        [row] = ledger.machines(open_only=True)
    assert state.age(row.run, now=row.intended_at) < timedelta(seconds=0.1)


@pytest.mark.parametrize("point", of_each_kind(POINTS, '"phase": "fetch"'))
def test_what_a_killed_run_leaves_is_told_and_swept_and_the_next_run_is_as_if_nothing_was(
    rent: Callable[..., Rented], point: str
) -> None:
    rented = rent("hetzner")
    extract = ("pipeline", "run", "extract", "--sample", "--provider", "hetzner")

    kill_at(rented, point, *extract)
    assert_young(rented)
    told = rented.run("plugins")
    swept = rented.run("sweep")
    after = rented.run("plugins")
    again = rented.run(*extract, "--json")

    assert "left a machine on hetzner" in told.stderr, told.stderr
    assert swept.returncode == 0, swept.stderr
    assert rented.left() == []
    assert after.stderr == ""
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["stages"][0]["result"]["in_use"] == 3
    assert rented.left() == []


@pytest.mark.parametrize("command", [("run", "--sample"), ("worker", "create")], ids=" ".join)
def test_nothing_is_rented_that_could_not_be_reached(
    rent: Callable[..., Rented], command: tuple[str, ...]
) -> None:
    rented = rent("hetzner")
    rented.workshop.module(
        "sitecustomize",
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'asyncssh' else find(name, *more)\n",
    )

    done = rented.run(*command, "--provider", "hetzner")

    assert done.returncode == 2, done.stderr
    assert done.stderr.endswith(
        "materia: rented machines need asyncssh, which is not installed here; to add "
        "it: `uv sync --inexact --extra ssh`\n"
    )
    assert rented.billed() == 0
    assert rented.left() == []
