"""A new supervisor goes on from the copies of the ledger in the bucket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.bucket_world import KEY, LATER, World, abandoned
from fakes.computers import KILLED, RUN, rental_of
from fakes.rental import Rental
from fakes.s3 import SECRET, Fault, S3Server
from fakes.workshop import wait_until
from materia.errors import ArtifactError
from materia_runner.ledger.rows import MachineRow
from materia_runner.ledger.run_copy import LONGEST
from materia_runner.schedule.ledger_copies import copy_of

LOG = {"stage": "extract", "attempt": 1, "text": "hello"}
FAKES = Path(__file__).parents[1]


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


def test_an_intent_is_in_the_bucket_before_the_machine_is_created(world: World) -> None:
    created_then: list[list[str]] = []
    old, rental = world.computer(), world.rental()
    old.begin()
    look = Fault(
        method="PUT",
        name="/ledger/",
        act=lambda: created_then.append([*rental.created]),
        after=True,
    )
    with world.server.failing(replace(look, status=200)), old.rent(rental):
        (machine,) = world.kept()["machines"]

    assert created_then == [[]]
    assert (machine["state"], machine["id"]) == ("intent", "")


def test_nothing_is_rented_when_the_intent_cannot_be_written(world: World) -> None:
    old, rental = world.computer(), world.rental()
    old.begin()
    down = Fault(status=503, code="SlowDown", times=10_000)
    with (
        world.server.failing(down),
        pytest.raises(ArtifactError, match="cannot read s3://"),
        old.rent(rental),
    ):
        pass

    assert rental.asked == []
    (row,) = old.ledger.machines()
    assert (row.state, row.cost) == ("refused", None)


def test_a_new_supervisor_has_the_history_the_costs_and_the_learnt_times(world: World) -> None:
    old = world.computer()
    old.run(world.machines)
    new = world.computer()

    assert new.restore().runs == (RUN,)
    assert copy_of(new.ledger, RUN, alive_at=None) == copy_of(old.ledger, RUN, alive_at=None)
    now = datetime.now(UTC)
    assert old.ledger.expected("psd", "extract") is not None
    assert new.ledger.expected("psd", "extract") == old.ledger.expected("psd", "extract")
    assert new.ledger.month_spent(now.date(), now) == old.ledger.month_spent(now.date(), now)
    assert new.state.unfinished() == ()
    assert new.restore().runs == ()  # once


def test_a_new_supervisor_destroys_what_a_dead_one_left_and_every_other_one_learns_that(
    world: World,
) -> None:
    rental = abandoned(world)
    new, third = world.computer(), world.computer()
    third.restore()

    world.age()
    new.restore()
    swept = new.sweep(rental)

    assert [one.instance.run for one in swept.found] == [RUN]
    assert rental.running == {}
    assert new.ledger.run(RUN).state == "interrupted"
    assert third.ledger.machines(open_only=True) != ()
    third.restore()
    assert third.ledger.machines(open_only=True) == ()
    assert third.ledger.run(RUN).state == "interrupted"
    assert third.state.unfinished() == ()


def test_a_run_that_is_alive_elsewhere_keeps_its_machine(world: World) -> None:
    rental = abandoned(world)
    new = world.computer()
    new.restore()

    swept = new.sweep(rental)

    assert (swept.found, len(rental.running)) == ((), 1)
    assert new.state.is_alive(RUN)
    assert not new.state.is_alive(RUN, now=datetime.now(UTC) + LATER)
    assert world.kept()["run"]["state"] == "running"  # it is not this computer's to write


def test_a_clock_that_is_ahead_keeps_no_run_alive_for_ever(world: World) -> None:
    abandoned(world)
    copy = world.kept()
    ahead = datetime.now(UTC) + timedelta(days=300)
    world.write({**copy, "alive_at": ahead.isoformat()})
    new = world.computer()
    new.restore()

    assert new.state.is_alive(RUN)
    assert not new.state.is_alive(RUN, now=datetime.now(UTC) + LATER)


def test_a_run_writes_signs_of_life_and_says_when_it_cannot(world: World) -> None:
    old = world.computer(patience=KILLED)
    old.begin()
    old.copies.push(RUN, alive=True)
    first = world.kept()["alive_at"]
    problems: list[str] = []
    every = timedelta(milliseconds=10)
    with old.copies.beating(RUN, every=every, failed=lambda error: problems.append(str(error))):
        wait_until(lambda: world.kept()["alive_at"] > first, "another sign of life")
        with world.server.failing(Fault(name="/ledger/", status=403, code="AccessDenied")):
            wait_until(lambda: bool(problems), "a problem")

    assert "the store refused the credentials" in problems[0]


def test_what_was_started_here_is_never_replaced(world: World) -> None:
    abandoned(world)
    here = world.computer()
    with here.state.hold(RUN):
        here.begin(host="here")
        here.restore()
        assert here.ledger.run(RUN).host == "here"
        assert here.ledger.machines() == ()


def test_a_ledger_that_was_lost_comes_back_and_its_dead_run_stays_dead(world: World) -> None:
    rental = abandoned(world)
    again = world.computer()
    (again.state.folder / "alive").mkdir()
    (again.state.folder / "alive" / RUN).touch()  # what the killed run left here

    again.restore()
    again.sweep(rental)

    assert rental.running == {}
    assert again.ledger.run(RUN).state == "interrupted"


def test_a_copy_that_failed_is_written_by_the_next_sweep(world: World) -> None:
    old, rental = world.computer(), world.rental()
    old.begin()
    with old.rent(rental):
        pass
    old.ledger.end_run(RUN, "ok", at=datetime.now(UTC))
    assert world.kept()["run"]["ended_at"] is None

    old.sweep(rental)
    assert world.kept()["run"]["state"] == "ok"
    before = len(world.server.requests)
    old.sweep(rental)
    assert world.server.since(before) == []  # it is complete


def test_no_copy_has_the_id_that_a_sweep_would_destroy_by(world: World) -> None:
    abandoned(world)
    copy = world.kept()
    copy["machines"][0] |= {"id": "4711", "state": "created"}  # that of another machine
    world.write(copy)
    world.age()
    new, rental = world.computer(), Rental(world.machines)

    new.restore()
    (row,) = new.ledger.machines()

    assert (row.state, row.id) == ("created", "")
    new.sweep(rental)
    assert rental.destroyed == [row.name]
    assert "4711" not in rental.destroyed


def changed(part: str, **values: object) -> Callable[[dict[str, Any]], object]:
    def change(copy: dict[str, Any]) -> object:
        one = copy[part] if part == "run" else copy[part][0]
        one |= values
        return copy

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: b"<html>", "it is not JSON"),
        (lambda _: b"\xff", "can't decode"),
        (lambda _: b"[" * 100_000, "nested too deeply"),
        (lambda _: b" " * (LONGEST + 1), "it is too large"),
        (lambda copy: {**copy, "format": 2}, "its format is unknown"),
        (changed("run", run="20261130T120000-other1"), "a part of the run"),
        (changed("run", state="great"), "is not running or ok"),
        (changed("machines", run="another"), "a part of the run 'another'"),
        (changed("machines", name="supervisor"), "is no machine of its run"),
        (changed("machines", name=f"materia-{RUN}-../1"), "is no machine of its run"),
        (changed("machines", expires_at="never"), "is not a moment"),
        (changed("machines", worst={"amount": "-9", "currency": "EUR"}), "no amount of money"),
        (changed("machines", worst={"amount": "9", "currency": "E R"}), "no amount of money"),
        (lambda copy: {**copy, "machines": copy["machines"] * 2}, "twice"),
        (lambda copy: {**copy, "plan": {"placements": [{"quotes": "all"}]}}, "quotes: "),
        (lambda copy: {**copy, "plan": {"total": {"amount": "1 EUR"}}}, "total: amount: "),
        (lambda copy: {**copy, "logs": [LOG]}, "a log of an attempt that it does not have"),
        (lambda copy: {**copy, "logs": [{**LOG, "stage": "../x"}]}, "is not a plain file name"),
    ],
)
def test_a_damaged_copy_is_named_left_out_and_hides_no_other(
    world: World, change: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    abandoned(world)
    world.write(change(world.kept()))
    other = world.computer()
    other.begin("20261129T120000-def456")
    other.copies.push("20261129T120000-def456", alive=False)
    new = world.computer()

    restored = new.restore()

    assert restored.runs == ("20261129T120000-def456",)
    (problem,) = restored.problems
    assert f"s3://{world.name}/{KEY} is damaged" in problem
    assert reason in problem
    assert [row.run for row in new.ledger.runs()] == ["20261129T120000-def456"]


@pytest.mark.parametrize("name", [".x", "a/b", "x" * 101])
def test_an_object_whose_name_is_no_run_is_left_alone(world: World, name: str) -> None:
    abandoned(world)
    world.write(b"{}", key=f"m/ledger/coffee/{name}.json")

    assert world.computer().restore().runs == (RUN,)


def killed_at(world: World, at: int, *, after: bool) -> bool:
    """A run in a process that is killed before or after its request *at*; whether it was."""
    command = [sys.executable, "-m", "fakes.computers", world.server.endpoint, world.name]
    folders = [str(world.folder / "old"), str(world.machines)]
    process = subprocess.Popen(
        [*command, *folders], cwd=FAKES, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None

    def kill() -> None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
            process.wait()

    with world.server.failing(Fault(skip=at, drop=True, after=after, act=kill)):
        _, said = process.communicate(timeout=60)
    assert process.returncode in {0, -signal.SIGKILL}, said.decode()
    return process.returncode != 0


def check_after_kill(world: World) -> None:
    rental = rental_of(world.machines)
    new = world.computer()
    if world.server.names(world.name):
        world.age()
    new.restore()
    new.sweep(rental)

    assert rental.running == {}
    known = {row.name for row in new.ledger.machines()}
    assert {folder.name for folder in rental.folder.glob("*")} <= known  # each has its intent


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_run_killed_at_its_first_stage_leaves_nothing_for_long(
    world: World, *, after: bool
) -> None:
    assert killed_at(world, 1, after=after)
    check_after_kill(world)


@pytest.mark.campaign
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_run_killed_at_any_request_leaves_nothing_for_long(
    server: S3Server, tmp_path: Path, *, after: bool
) -> None:
    kills = 0
    for at in range(12):
        (tmp_path / str(at)).mkdir()
        world = World(server, tmp_path / str(at))
        kills += killed_at(world, at, after=after)
        check_after_kill(world)
    assert 3 <= kills < 12


def test_a_copy_has_no_secret(world: World) -> None:
    old = world.computer()
    old.run(world.machines)

    assert SECRET not in world.server.content(world.name, KEY).decode()
    assert MachineRow.__dataclass_fields__.keys() == world.kept()["machines"][0].keys()


def test_a_run_with_an_endless_error_is_read_by_another_computer(world: World) -> None:
    old = world.computer()
    old.begin()
    old.ledger.end_run(RUN, "failed", at=datetime.now(UTC), error="no space left " * 10_000)
    old.copies.push(RUN, alive=False)
    new = world.computer()

    assert new.restore().runs == (RUN,)
    assert str(new.ledger.run(RUN).error).startswith("no space left")
