"""A run that slept and wakes: its intents stay in the bucket, whatever other computers write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.bucket_world import KEY, LATER, World, abandoned
from fakes.computers import RUN
from fakes.s3 import Fault, S3Server
from materia.errors import ArtifactError
from materia_runner.ledger.run_copy import LONGEST

A_COPY = Fault(method="PUT", name="/ledger/")


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


def test_a_run_that_wakes_while_it_is_swept_keeps_its_newest_intent_in_the_bucket(
    world: World,
) -> None:
    old, rental = world.computer(), world.rental()
    with ExitStack() as asleep:
        asleep.enter_context(old.state.hold(RUN))
        old.begin()
        first = asleep.enter_context(old.rent(rental))
        world.age()
        new = world.computer()
        new.restore()

        def wake() -> None:
            asleep.enter_context(old.rent(rental, stage="transform"))

        woken = Fault(method=A_COPY.method, name=A_COPY.name, act=wake)
        with world.server.failing(woken):
            new.sweep(rental)

        assert woken.happened == 1
        machines = {one["name"]: one["state"] for one in world.kept()["machines"]}
        (second,) = rental.running
        assert rental.destroyed == [first.name]
        assert machines[second] == "intent"
        # It is alive again for the computer that swept, and is swept when it is dead.
        assert new.state.is_alive(RUN)
        assert not new.state.is_alive(RUN, now=datetime.now(UTC) + LATER)
        world.age()
        new.restore()
        new.sweep(rental)
        assert rental.running == {}


def test_a_run_that_another_computer_took_for_dead_rents_nothing_more(world: World) -> None:
    rental = abandoned(world)
    (old,) = world.computers
    world.age()
    new = world.computer()
    new.restore()
    new.sweep(rental)
    asked = [*rental.asked]

    for _ in range(2):
        with (
            pytest.raises(ArtifactError, match=f"another computer took {RUN} for dead"),
            old.rent(rental, stage="transform"),
        ):
            pass
        with pytest.raises(ArtifactError, match="run again"):
            old.copies.push(RUN, alive=True)

    assert rental.asked == asked
    assert world.kept()["run"]["state"] == "interrupted"
    old.ledger.end_run(RUN, "failed", at=datetime.now(UTC), error="it slept")
    old.copies.push(RUN, alive=False)  # the end of a run is the run's to say
    assert world.kept()["run"]["error"] == "it slept"


def test_of_two_computers_that_sweep_the_same_run_the_slower_one_reads_what_the_faster_one_wrote(
    world: World,
) -> None:
    rental = abandoned(world)
    world.age()
    faster, slower = world.computer(), world.computer()
    faster.restore()
    slower.restore()
    faster.sweep(rental)
    ended = world.kept()["run"]["ended_at"]

    slower.sweep(rental)

    assert world.kept()["run"]["ended_at"] == ended
    assert slower.ledger.run(RUN) == faster.ledger.run(RUN)
    assert slower.ledger.machines() == faster.ledger.machines()
    before = len(world.server.requests)
    slower.copies.push_left()
    assert world.server.since(before) == []


def test_a_computer_that_was_killed_while_it_read_a_copy_reads_it_again_before_it_writes(
    world: World,
) -> None:
    rental = abandoned(world)
    world.age()
    new = world.computer()
    new.restore()
    (new.state.folder / "copies/coffee" / RUN).write_text("elsewhere ")
    newer = {**world.kept(), "alive_at": datetime.now(UTC).isoformat()}
    world.write(newer)

    new.sweep(rental)

    assert world.kept() == newer
    assert new.state.is_alive(RUN)


def test_a_copy_that_is_damaged_meanwhile_hides_no_other(world: World) -> None:
    rental = abandoned(world)
    world.age()
    new, other = world.computer(), "20261130T120001-def456"
    new.restore()
    new.begin(other)
    new.ledger.end_run(other, "ok", at=datetime.now(UTC))
    with pytest.raises(ArtifactError), world.server.failing(Fault(status=403, times=99)):
        new.copies.push(other, alive=False)  # it is left for later
    world.write(b" " * (LONGEST + 1))

    new.sweep(rental)

    assert f"m/ledger/coffee/{other}.json" in world.server.names(world.name)
    (problem,) = world.computer().restore().problems
    assert "it is too large" in problem


def test_a_copy_that_somebody_deleted_is_written_again(world: World) -> None:
    rental = abandoned(world)
    world.age()
    new = world.computer()
    new.restore()
    world.server.client().delete_object(Bucket=world.name, Key=KEY)

    new.sweep(rental)

    assert world.kept()["run"]["state"] == "interrupted"
