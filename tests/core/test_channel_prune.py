"""Prune artifacts of an S3 store: what channels name, and what is pushed meanwhile, stays."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.channel_bench import ChannelBench
from fakes.s3 import Fault, S3Server
from materia.errors import ArtifactError
from materia_runner.artifact.bucket import object_name
from materia_runner.artifact.channel.prune import prune


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def bench(server: S3Server, tmp_path: Path) -> ChannelBench:
    return ChannelBench(server, tmp_path)


def test_prune_spares_what_channels_name_and_what_was_just_written(bench: ChannelBench) -> None:
    bench.push("one", "both")
    bench.push("two", "both2")
    for text in ("loose-1", "loose-2", "loose-3"):
        bench.open().push(*bench.artifacts(text))
    bench.server.age(bench.name, timedelta(days=3))
    bench.open().push(*bench.artifacts("just now"))

    would = prune(bench.open(), keep=1, dry_run=True)
    assert len(bench.open().every()) == 8
    gone = prune(bench.open(), keep=1)

    assert [one.sha256 for one in gone] == [one.sha256 for one in would]
    left = {one.sha256 for one in bench.open().every()}
    named = {one.sha256 for release in bench.channel().releases for one in release.artifacts}
    assert named <= left
    assert bench.artifacts("just now")[0].sha256 in left
    assert len(left) == len(named) + 1  # `keep` counts the newest of the others


def test_a_push_refreshes_old_objects_so_that_a_prune_under_way_spares_them(
    bench: ChannelBench,
) -> None:
    bench.open().push(*bench.artifacts("kept"))
    bench.server.age(bench.name, timedelta(days=3))
    # The prune has read the channels, and a push moves one before it deletes.
    before_it_looks = Fault(method="HEAD", name="/sha256/", act=lambda: bench.push("kept"))
    with bench.server.failing(before_it_looks):
        assert prune(bench.open(), keep=0) == []

    assert bench.content() == [b"kept"]


def test_a_push_puts_back_what_a_prune_deleted_meanwhile(bench: ChannelBench) -> None:
    (artifact,) = bench.artifacts("kept")
    deleted = Fault(
        method="PUT",
        name="/channels/coffee",
        act=lambda: bench.open().delete(object_name(artifact.sha256)),
    )
    with bench.server.failing(deleted):
        bench.push("kept")

    assert bench.content() == [b"kept"]


def test_a_prune_that_cannot_read_a_channel_deletes_nothing(bench: ChannelBench) -> None:
    bench.push("good")
    bench.open().push(*bench.artifacts("loose"))
    bench.server.age(bench.name, timedelta(days=3))
    bench.put("channels/coffee/other.json", b"<html>")

    with pytest.raises(ArtifactError, match="cannot be used"):
        prune(bench.open(), keep=0, now=datetime.now(UTC))
    assert len(bench.open().every()) == 2
