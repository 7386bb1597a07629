"""Which computers sweep is in the bucket, and a run that rents says when none does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from fakes.computers import KEYS
from fakes.patience import QUICK
from fakes.s3 import Fault, S3Server
from materia_runner.artifact.bucket import ArtifactBucket
from materia_runner.config.pipeline import Bucket
from materia_runner.schedule.sweeps import (
    KEPT,
    Sweeps,
    after_sweep,
    read_sweeps,
    sweeps_elsewhere,
    write_sweep,
)

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def bucket(server: S3Server) -> ArtifactBucket:
    address = Bucket(url=f"s3://{server.new_bucket()}/m", endpoint=server.endpoint)
    return ArtifactBucket(address, KEYS, patience=QUICK)


@pytest.mark.parametrize(
    ("hosts", "known"),
    [
        ({}, False),
        ({"laptop": NOW}, False),  # this one: it sleeps when its runs sleep
        ({"ci": NOW - 119 * MINUTE}, True),
        ({"ci": NOW - 121 * MINUTE, "laptop": NOW}, False),
        ({"ci": NOW + 121 * MINUTE}, False),  # a clock that is wrong says nothing
    ],
)
def test_only_another_computer_that_swept_lately_counts(
    hosts: dict[str, datetime], *, known: bool
) -> None:
    assert sweeps_elsewhere(Sweeps(hosts=hosts), host="laptop", now=NOW) is known


def test_the_newest_computers_are_kept() -> None:
    sweeps = Sweeps()
    for number in range(KEPT + 3):
        sweeps = after_sweep(sweeps, host=f"job-{number}", now=NOW + number * MINUTE)

    assert len(sweeps.hosts) == KEPT
    assert "job-2" not in sweeps.hosts
    assert f"job-{KEPT + 2}" in sweeps.hosts


def test_two_computers_that_end_at_once_are_both_known(
    server: S3Server, bucket: ArtifactBucket
) -> None:
    meanwhile = Fault(
        method="PUT", name="/sweeps/", act=lambda: write_sweep(bucket, "coffee", host="faster")
    )
    with server.failing(meanwhile):
        write_sweep(bucket, "coffee", host="slower")

    assert set(read_sweeps(bucket, "coffee").hosts) == {"slower", "faster"}
    assert read_sweeps(bucket, "cocoa").hosts == {}


@pytest.mark.parametrize("content", [b"\xff", b"[]", b'{"format": 1, "hosts": {"a": "soon"}}'])
def test_a_damaged_object_counts_as_no_sweep_and_is_replaced(
    bucket: ArtifactBucket, content: bytes
) -> None:
    bucket.write("sweeps/coffee.json", content)
    assert read_sweeps(bucket, "coffee").hosts == {}

    write_sweep(bucket, "coffee", host="ci")
    assert list(read_sweeps(bucket, "coffee").hosts) == ["ci"]
