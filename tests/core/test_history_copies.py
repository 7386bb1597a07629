"""A new supervisor shows older runs as the old one did: their plans and their logs, too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fakes.bucket_world import World
from fakes.computers import RUN, Computer
from fakes.rental import offer
from fakes.s3 import S3Server
from materia_runner.cli.output.runs.show import show_text, show_values
from materia_runner.config.stages import STAGES
from materia_runner.ledger.plan_and_logs import BEGINNING, END
from materia_runner.ledger.run_copy import LONGEST, decoded, encoded
from materia_runner.ledger.state import KEPT_RUNS
from materia_runner.planning.plan import make_plan
from materia_runner.planning.plan_json import plan_values
from materia_runner.pricing.currency import Exchange
from materia_runner.schedule.ledger_copies import copy_of

NOW = datetime(2026, 11, 30, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def world(server: S3Server, tmp_path: Path) -> Iterator[World]:
    world = World(server, tmp_path)
    yield world
    world.close()


def plan() -> dict[str, Any]:
    sold = [offer("small", hourly="0.02"), offer("large", hourly="0.2")]
    made = make_plan(STAGES[:1], sold, start=NOW, exchange=Exchange())
    return {**plan_values(made), "unanswered": [], "left_out": ["odd: left out"], "release": "r"}


def ended(computer: Computer, world: World, log: str) -> None:
    """A run with a plan, and with the log of a stage that failed."""
    computer.run(world.machines)
    computer.ledger.save_plan(RUN, plan())
    with computer.ledger._writing() as connection:
        connection.execute("UPDATE stages SET state = 'failed'")
    folder = computer.state.run_folder(RUN)
    (folder / "extract.1.log").write_text(log)
    computer.copies.push(RUN, alive=False)


def shown(computer: Computer) -> tuple[dict[str, Any], str]:
    """What `materia runs show` prints, but for the folder of the logs."""
    values = show_values(computer.ledger.run(RUN), computer.state, computer.ledger, NOW)
    folder = str(computer.state.folder)
    return json.loads(json.dumps(values, default=str).replace(folder, "")), show_text(
        values
    ).replace(folder, "")


def test_a_new_supervisor_shows_the_plan_and_the_logs_of_an_older_run(world: World) -> None:
    old, new = world.computer(), world.computer()
    ended(old, world, "".join(f"2026-11-30 line {number}\n" for number in range(100)))

    new.restore()

    assert "line 99" in shown(new)[1]
    assert "chose the first of 2 offers" in shown(new)[1]
    assert shown(new) == shown(old)


def test_an_empty_log_is_shown_as_one(world: World) -> None:
    old, new = world.computer(), world.computer()
    ended(old, world, "")

    new.restore()

    assert shown(new) == shown(old)


def test_of_a_long_log_a_copy_has_the_beginning_and_the_end_in_whole_lines(world: World) -> None:
    old, new = world.computer(), world.computer()
    lines = [f"line {number} of a log with an ä\n" for number in range(40_000)]
    ended(old, world, "".join(lines))

    new.restore()

    known = set(lines)
    kept = (new.state.run_folder(RUN) / "extract.1.log").read_text().splitlines(keepends=True)
    assert len("".join(kept).encode()) < BEGINNING + END + 200
    (cut,) = (line for line in kept if line not in known)
    assert cut.startswith("... more than 1,")
    assert (kept[0], kept[-1]) == (lines[0], lines[-1])
    assert shown(new)[1] == shown(old)[1]


def test_what_makes_a_copy_too_long_is_left_out_of_it_and_the_machines_are_not(
    world: World,
) -> None:
    old = world.computer()
    ended(old, world, "a line\n")
    for _ in range(LONGEST // (1 << 16) + 1):
        old.ledger.note(RUN, at=NOW, stage="extract", text="x" * (1 << 16))
    copy = copy_of(old.ledger, RUN, alive_at=NOW)

    text = encoded(copy)

    assert len(text) < LONGEST
    read = decoded(text, run=RUN)
    assert (read.machines, read.stages) == (copy.machines, copy.stages)
    assert (read.plan, read.notes) == (None, ())


@pytest.mark.campaign
def test_plans_and_logs_are_kept_of_the_newest_runs_alone(world: World) -> None:
    old, new = world.computer(), world.computer()
    ended(old, world, "a line\n")
    copy, client = world.kept(), world.server.client()
    for number in range(KEPT_RUNS):
        run = f"20261201T000000-{number:06d}"
        empty = {**copy, "run": {**copy["run"], "run": run}, "machines": [], "stages": []}
        body = json.dumps({**empty, "notes": [], "logs": []})
        client.put_object(Bucket=world.name, Key=f"m/ledger/coffee/{run}.json", Body=body)

    new.restore()

    assert len(new.ledger.runs()) == KEPT_RUNS + 1
    assert new.ledger.plan(RUN) is None
    assert not new.state.log_file(RUN, "extract", 1).exists()
    assert new.ledger.plan("20261201T000000-000000") is not None
