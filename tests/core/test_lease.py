"""Two computers do not rent machines for one pipeline at the same time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fakes.patience import QUICK
from fakes.s3 import KEY, SECRET, Fault, S3Server
from materia.errors import ArtifactError, BusyError
from materia_runner.artifact.bucket import ArtifactBucket
from materia_runner.config.pipeline import Bucket
from materia_runner.schedule.lease import Lease, LeaseKeeper, blocks

KEYS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
KILLED = replace(QUICK, reach=timedelta(0), overall=timedelta(0))
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
OTHER = Lease(run="other", host="b", until=NOW + HOUR)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def name(server: S3Server) -> str:
    return server.new_bucket()


class Computers:
    """Runs of one pipeline, each on a computer of its own."""

    def __init__(self, server: S3Server, bucket: str) -> None:
        self.server = server
        self.bucket = bucket

    def keeper(self, run: str, *, killed: bool = False) -> LeaseKeeper:
        address = Bucket(url=f"s3://{self.bucket}/m", endpoint=self.server.endpoint)
        bucket = ArtifactBucket(address, KEYS, patience=KILLED if killed else QUICK)
        return LeaseKeeper(bucket, "coffee", run=run, host=f"host-of-{run}")

    def take(self, run: str, *, until: timedelta = HOUR, dead: tuple[str, ...] = ()) -> LeaseKeeper:
        keeper = self.keeper(run)
        keeper.take(datetime.now(UTC) + until, is_dead=lambda other: other in dead)
        return keeper

    def kept(self) -> dict[str, object]:
        text = self.server.content(self.bucket, "m/leases/coffee.json")
        values: dict[str, object] = json.loads(text)
        return values


@pytest.fixture
def computers(server: S3Server, name: str) -> Computers:
    return Computers(server, name)


@pytest.mark.parametrize(
    ("lease", "blocked"),
    [
        (OTHER, True),
        (replace(OTHER, released=True), False),
        (replace(OTHER, run="mine"), False),
        (replace(OTHER, until=NOW - timedelta(minutes=9)), True),  # the clocks may differ
        (replace(OTHER, until=NOW - timedelta(minutes=11)), False),
        (replace(OTHER, run="dead here"), False),
    ],
)
def test_a_lease_blocks_other_runs_until_it_ends(lease: Lease, *, blocked: bool) -> None:
    assert blocks(lease, run="mine", now=NOW, is_dead="dead here".__eq__) is blocked


def test_a_second_computer_waits_until_the_first_gives_the_lease_back(computers: Computers) -> None:
    first = computers.take("one")
    with pytest.raises(BusyError, match="may rent machines now: one on host-of-one, until"):
        computers.take("two")

    first.release()
    first.release()
    computers.take("two")
    assert (computers.kept()["run"], computers.kept()["released"]) == ("two", False)


def test_a_lease_is_extended_before_each_machine(computers: Computers) -> None:
    keeper = computers.take("one")
    before = computers.kept()["until"]

    keeper.take(datetime.now(UTC) + 3 * HOUR, is_dead=lambda _: False)
    assert str(computers.kept()["until"]) > str(before)


def test_a_run_that_was_killed_blocks_its_own_computer_not_at_all(computers: Computers) -> None:
    computers.take("killed")

    computers.take("next", dead=("killed",))
    assert computers.kept()["run"] == "next"


def test_a_lease_that_has_ended_is_taken_over_and_its_late_owner_loses_it(
    computers: Computers,
) -> None:
    late = computers.take("late", until=-HOUR)
    computers.take("two")

    late.release()
    with pytest.raises(BusyError):
        late.take(datetime.now(UTC) + HOUR, is_dead=lambda _: False)
    assert (computers.kept()["run"], computers.kept()["released"]) == ("two", False)


@pytest.mark.parametrize("before", [None, "ended"])
def test_of_two_computers_that_ask_at_once_one_gets_it(
    computers: Computers, before: str | None
) -> None:
    if before is not None:
        computers.take(before, until=-HOUR)
    meanwhile = Fault(method="PUT", name="/leases/", act=lambda: computers.take("faster"))
    with computers.server.failing(meanwhile), pytest.raises(BusyError, match="faster"):
        computers.take("slower")

    assert computers.kept()["run"] == "faster"


def test_a_lost_answer_is_no_other_computer(computers: Computers) -> None:
    lost = Fault(method="PUT", name="/leases/", drop=True, after=True)
    with computers.server.failing(lost):
        computers.take("one")

    assert lost.happened == 1
    assert computers.kept()["run"] == "one"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_run_that_is_killed_at_any_request_leaves_no_lease_or_its_own(
    server: S3Server, *, after: bool
) -> None:
    count = 0
    for at in range(8):
        computers = Computers(server, server.new_bucket())
        done = [Fault(skip=at, drop=True, after=True)] if after else []
        dead = Fault(skip=at, drop=True, times=1000)
        with server.failing(*done, dead):
            try:
                computers.keeper("one", killed=True).take(
                    datetime.now(UTC) + HOUR, is_dead=lambda _: False
                )
            except ArtifactError:
                count += 1
        computers.take("next", dead=("one",))
        assert computers.kept()["run"] == "next"
    assert 4 <= count < 8  # the requests of a first lease


def test_a_store_that_ignores_conditions_gives_no_lease(computers: Computers) -> None:
    computers.server.ignores_conditions = True
    try:
        with pytest.raises(ArtifactError, match="ignores If-Match or If-None-Match"):
            computers.take("one")
    finally:
        computers.server.ignores_conditions = False


@pytest.mark.parametrize("content", [b"<html>", b"{}", b'{"format": 1, "run": "../x"}', b"\xff"])
def test_a_damaged_lease_is_named_and_not_believed(computers: Computers, content: bytes) -> None:
    computers.server.client().put_object(
        Bucket=computers.bucket, Key="m/leases/coffee.json", Body=content
    )

    with pytest.raises(ArtifactError, match=r"leases/coffee\.json is damaged: .*; delete it when"):
        computers.take("one")
