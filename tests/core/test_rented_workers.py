"""Two sources on two rented machines, side by side: one database, and nothing is left."""

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
from fakes.rented import Rented, events
from fakes.twins import BROKEN, CONFIG, FAULTY, MODEL, SECRETS, SLOW
from fakes.workshop import TESTS, Workshop
from materia_testing.emulation.faults import Fault
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
    """The machines by their numbers, which are asked for at the same time."""
    return sorted(
        (one["name"].rpartition("-extract")[2], *one["stages"]) for one in ledger["instances"]
    )


def overlap(ledger: dict[str, Any]) -> bool:
    """Whether all machines that were there were there at the same time."""
    there = [one for one in ledger["instances"] if one["created_at"]]
    last, first = max(one["created_at"] for one in there), min(one["gone_at"] for one in there)
    return bool(last < first)


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
    assert overlap(ledger)
    assert sorted((one["stage"], one["attempt"], one["state"]) for one in ledger["stages"]) == [
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
    assert sorted(chosen[:2]) == sorted(one["instance_type"] for one in ledger["instances"])
    # Each event says which worker it is of.
    of_stages = {one["stage"] for one in events(done.stderr) if one["event"] == "instance"}
    assert of_stages == {"extract (ones)", "extract (twos)"}
    assert Decimal(planned["total"]["amount"]) < Decimal(
        planned["alternatives"][0]["total"]["amount"]
    )


def test_a_source_that_fails_on_its_machine_and_a_machine_that_is_sold_out_keep_nothing_back(
    rent: Callable[[str], Rented],
) -> None:
    rented = rent(APART)
    cloud = rented.clouds["hetzner"]
    cloud.faults.next(*cloud.create_call, Fault(error="sold_out"))

    done = rented.run(*EXTRACT, **{**SECRETS, "ONES_TOKEN": BROKEN})
    run = rented.runs()[0]["run"]
    ledger = rented.ledger(run)

    assert done.returncode == 1
    assert "ones: no file could be fetched" in done.stderr
    assert "trying the next offer" in done.stderr
    assert files(rented) == ["twos halibut-two"]
    assert sorted((one["stage"], one["state"]) for one in ledger["stages"]) == [
        ("extract (ones)", "failed"),
        ("extract (twos)", "ok"),
    ]
    assert sorted(one["state"] for one in ledger["instances"]) == ["gone", "gone", "refused"]
    assert ledger["state"] == "failed"
    assert rented.left() == []


@pytest.mark.campaign
def test_a_worker_with_a_fault_stops_the_other_and_leaves_no_machine(
    rent: Callable[[str], Rented],
) -> None:
    rented = rent(APART)

    done = rented.run(*EXTRACT, **{**SECRETS, "ONES_TOKEN": SLOW, "TWOS_TOKEN": FAULTY})
    ledger = rented.ledger(rented.runs()[0]["run"])

    assert done.returncode == 1
    assert "extract" in done.stderr.splitlines()[-1]
    assert rented.left() == []
    assert overlap(ledger)
    assert {one["stage"]: one["state"] for one in ledger["stages"]}["extract (twos)"] == "failed"
    others = [one for one in ledger["stages"] if one["stage"] == "extract (ones)"]
    assert [(one["state"], one["error"]) for one in others] == [
        ("interrupted", "ended because another worker of this run failed")
    ]


@pytest.mark.parametrize(
    "how",
    [
        signal.SIGKILL,
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.campaign),
    ],
)
def test_what_is_ended_while_both_machines_run_keeps_what_was_fetched(
    rent: Callable[[str], Rented], how: signal.Signals
) -> None:
    rented = rent(APART)

    with rented.start(*EXTRACT, **{**SECRETS, "TWOS_TOKEN": SLOW}) as process:
        assert process.stderr is not None
        said: list[str] = []
        for line in process.stderr:
            said.append(line)
            gone = any('"gone"' in one and "(ones)" in one for one in said)
            if gone and any("start the worker" in one and "(twos)" in one for one in said):
                process.send_signal(how)
                break
        process.stderr.read()
    if how is signal.SIGKILL:
        assert rented.left() != []
        assert rented.run("sweep").returncode == 0
    left, kept = rented.left(), files(rented)
    again = rented.run(*EXTRACT, **SECRETS)

    assert process.returncode == (-how if how is signal.SIGKILL else 128 + how), said
    assert left == []
    assert kept == ["ones halibut-one"]
    assert again.returncode == 0, again.stderr
    counts = [one["result"]["sources"][0] for one in json.loads(again.stdout)["stages"]]
    assert [(one["source"], one["fetched"], one["unchanged"]) for one in counts] == [
        ("ones", 0, 1),
        ("twos", 1, 0),
    ]
    assert rented.left() == []


@pytest.mark.campaign
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("moment", range(8))
def test_what_is_ended_at_any_event_of_two_workers_leaves_nothing(
    rent: Callable[[str], Rented], how: signal.Signals, moment: int
) -> None:
    rented = rent(APART)

    with rented.start(*EXTRACT, **SECRETS) as process:
        assert process.stderr is not None
        machines = 0
        for line in process.stderr:
            machines += '"event": "instance"' in line
            if machines > moment:
                process.send_signal(how)
                break
        process.stderr.read()
    if how is signal.SIGKILL:
        rented.run("sweep")
    left = rented.left()
    again = rented.run(*EXTRACT, **SECRETS)

    assert left == []
    assert again.returncode == 0, again.stderr
    assert files(rented) == ["ones halibut-one", "twos halibut-two"]
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


IN_ONE_PLACE = ("[providers.hetzner]", '[providers.hetzner]\nregions = ["fsn1"]')


@pytest.mark.parametrize(
    ("needs", "ends"),
    [
        pytest.param("memory_gib = 12", 0, marks=pytest.mark.campaign, id="over the cap by then"),
        pytest.param("memory_gib = 24", 4, id="no other offer"),
    ],
)
def test_a_worker_without_another_machine_waits_for_the_others_and_stops_none(
    rent: Callable[[str], Rented], needs: str, ends: int
) -> None:
    asks = APART.replace("minutes = 600", "minutes = 600\ndeadline_minutes = 600")
    rented = rent(asks.replace("memory_gib = 24", needs))
    file = rented.workshop.directory / "materia.toml"
    file.write_text(file.read_text().replace(*IN_ONE_PLACE))
    planned = json.loads(rented.run("plan", "--provider", "hetzner", "--json", **SECRETS).stdout)
    worst = sum(Decimal(one["worst"]["amount"]) for one in planned["placements"][:2])
    cloud = rented.clouds["hetzner"]
    cloud.faults.next(*cloud.create_call, Fault(error="sold_out"))

    done = rented.run(*EXTRACT, "--max-cost", f"{worst:f}", **SECRETS)

    assert done.returncode == ends, done.stderr
    assert "planned again when the other workers have ended" in done.stderr
    assert len(files(rented)) == (1 if ends else 2)
    assert Decimal(0) < rented.billed() <= worst
    assert rented.left() == []


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
