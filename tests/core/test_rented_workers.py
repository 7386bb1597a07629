"""Two sources on two rented machines, one after the other: one database, and nothing is left."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fakes.rented import Rented
from fakes.twins import BROKEN, CONFIG, MODEL, SECRETS
from fakes.workshop import TESTS, Workshop
from materia_testing.emulation.ssh_machines import sandbox

pytestmark = pytest.mark.skipif(bool(sandbox.why_not()), reason=str(sandbox.why_not()))
# A slow source that needs little, and a quick one that needs much: apart they are cheaper.
APART = """source = ["ones", "twos"]

[sources.ones.extract]
memory_gib = 4
minutes = 600

[sources.twos.extract]
memory_gib = 24
minutes = 5

[budget]
run = "20"
"""
TOGETHER = 'source = ["ones", "twos"]\n'
EXTRACT = ("pipeline", "run", "extract", "--provider", "hetzner", "--json")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp().parent / "cache"


@pytest.fixture
def rent(workshop: Workshop, cache: Path) -> Iterator[Callable[[str], Rented]]:
    workshop.module("twins", (TESTS / "fakes/twins.py").read_text())
    workshop.install("twins", "twins", files=("twins.py",))
    made: list[Rented] = []

    def start(pipeline: str) -> Rented:
        made.append(Rented(workshop, ["hetzner"], cache=cache, pipeline=pipeline))
        return made[-1]

    yield start
    for rented in made:
        with rented:
            pass


def files(rented: Rented) -> list[str]:
    """The raw files of both sources."""
    folder = rented.workshop.directory / "raw"
    return sorted(path.read_text() for path in folder.rglob("*.txt"))


def workers_of(ledger: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["name"].rpartition("-extract")[2], *one["stages"]) for one in ledger["instances"]]


def test_two_sources_have_a_machine_each_where_the_plan_finds_that_cheaper(
    rent: Callable[[str], Rented],
) -> None:
    rented = rent(APART)

    plan = rented.run("plan", "--provider", "hetzner", "--json", **SECRETS)
    assert plan.returncode == 0, plan.stderr
    planned = json.loads(plan.stdout)
    done = rented.run(*EXTRACT, **SECRETS)

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    results = [one["result"]["sources"] for one in report["stages"]]
    assert [[one["source"] for one in some] for some in results] == [["ones"], ["twos"]]
    assert files(rented) == ["ones halibut-one", "twos halibut-two"]
    assert rented.left() == []
    ledger = rented.ledger(report["run"])
    assert workers_of(ledger) == [("", "extract (ones)"), ("-2", "extract (twos)")]
    assert [(one["stage"], one["attempt"], one["state"]) for one in ledger["stages"]] == [
        ("extract (ones)", 1, "ok"),
        ("extract (twos)", 1, "ok"),
    ]
    costs = [Decimal(one["cost"]["amount"]) for one in ledger["instances"]]
    assert round(sum(costs), 2) == round(rented.billed(), 2)
    shown = rented.run("runs", "show", report["run"]).stdout
    assert "extract (ones): chose the first of" in shown
    assert "extract (twos): ok" in shown
    # The plan of the run chose the machines that the run rented, and what it would cost on one.
    chosen = [one["chosen"]["instance_type"] for one in planned["placements"]]
    assert chosen == [one["instance_type"] for one in ledger["instances"]]
    assert Decimal(planned["total"]["amount"]) < Decimal(
        planned["alternatives"][0]["total"]["amount"]
    )


def test_a_source_that_fails_on_its_machine_keeps_the_other_from_nothing(
    rent: Callable[[str], Rented],
) -> None:
    rented = rent(APART)

    done = rented.run(*EXTRACT, **{**SECRETS, "ONES_TOKEN": BROKEN})
    run = rented.runs()[0]["run"]
    ledger = rented.ledger(run)

    assert done.returncode == 1
    assert "ones: no file could be fetched" in done.stderr
    assert "the server answers 503; fetching the other sources" in done.stderr
    assert files(rented) == ["twos halibut-two"]
    assert [(one["stage"], one["state"]) for one in ledger["stages"]] == [
        ("extract (ones)", "failed"),
        ("extract (twos)", "ok"),
    ]
    assert ledger["state"] == "failed"
    assert rented.left() == []


@pytest.mark.parametrize(
    "how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.campaign)]
)
def test_what_is_ended_at_the_second_machine_keeps_what_the_first_fetched(
    rent: Callable[[str], Rented], how: signal.Signals
) -> None:
    rented = rent(APART)

    with rented.start(*EXTRACT, **SECRETS) as process:
        assert process.stderr is not None
        created = 0
        for line in process.stderr:
            created += '"state": "created"' in line
            if created == 2:
                process.send_signal(how)
                break
        process.stderr.read()
    if how is signal.SIGKILL:
        assert rented.run("sweep").returncode == 0
    left, kept = rented.left(), files(rented)
    again = rented.run(*EXTRACT, **SECRETS)

    assert created == 2
    assert process.returncode == (-how if how is signal.SIGKILL else 128 + how)
    assert left == []
    assert kept == ["ones halibut-one"]
    assert again.returncode == 0, again.stderr
    counts = [one["result"]["sources"][0] for one in json.loads(again.stdout)["stages"]]
    assert [(one["source"], one["fetched"], one["unchanged"]) for one in counts] == [
        ("ones", 0, 1),
        ("twos", 1, 0),
    ]
    assert rented.left() == []


def test_the_cap_of_a_run_covers_the_machines_of_all_its_sources(
    rent: Callable[[str], Rented],
) -> None:
    rented = rent(APART.replace('"20"', '"0.50"'))

    done = rented.run(*EXTRACT, **SECRETS)

    assert done.returncode == 4
    assert "extract (ones): hetzner" in done.stderr
    assert "extract (twos): hetzner" in done.stderr
    assert rented.billed() == 0


@pytest.mark.campaign
def test_two_machines_publish_the_tables_of_one_machine_and_of_this_one(
    rent: Callable[[str], Rented],
) -> None:
    workshop = rent(TOGETHER).workshop
    workshop.write("mine/config.py", CONFIG)
    workshop.write("mine/models/both.sql", MODEL)
    found = []
    for pipeline, provider in ((TOGETHER, "local"), (TOGETHER, "hetzner"), (APART, "hetzner")):
        rented = rent(f'transform.project = "mine"\n{pipeline}')
        database = workshop.directory / "materia.duckdb"
        database.unlink(missing_ok=True)
        shutil.rmtree(workshop.directory / "raw", ignore_errors=True)

        done = rented.run("run", "--provider", provider, "--json", **SECRETS)

        assert done.returncode == 0, done.stderr
        stages = [one["stage"] for one in json.loads(done.stdout)["stages"]]
        with duckdb.connect(str(database), read_only=True) as connection:
            said = connection.execute("FROM serving.both ORDER BY 1").fetchall()
        found.append((stages, said))
        assert rented.left() == []

    both = [("ones halibut-one",), ("twos halibut-two",)]
    assert found == [
        (["extract", "transform"], both),
        (["extract", "transform"], both),
        (["extract", "extract", "transform"], both),
    ]
