"""A push to a channel against an S3 store: killed anywhere, raced, and lied to."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from fakes.channel_bench import ChannelBench
from fakes.patience import QUICK
from fakes.s3 import SECRET, Fault, S3Server
from materia.errors import ArtifactError
from materia_runner.artifact.bucket import object_name
from materia_runner.artifact.channel.pointer import Pointers

# A push that fails at once is, for the bucket, one that was killed.
KILLED = replace(QUICK, reach=timedelta(0), overall=timedelta(0))
FOREVER = 1_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def bench(server: S3Server, tmp_path: Path) -> ChannelBench:
    return ChannelBench(server, tmp_path)


def requests_of_a_push(server: S3Server, folder: Path) -> int:
    bench = ChannelBench(server, folder)
    bench.push("old", "both")
    before = len(server.requests)
    bench.push("new", "both2")
    return len(server.since(before))


OLD, NEW = [b"old", b"both"], [b"new", b"both2"]


def killed_at(bench: ChannelBench, at: int, *, after: bool) -> list[bytes]:
    """Push, killed before or after the request number *at*; what a run then gets."""
    bench.push("old", "both")
    bucket = bench.open(KILLED)
    done = [Fault(skip=at, drop=True, after=True)] if after else []
    with bench.server.failing(*done, Fault(skip=at, drop=True, times=FOREVER)):
        with pytest.raises(ArtifactError) as said:
            bench.push("new", "both2", bucket=bucket)
        assert SECRET not in str(said.value)
    return bench.content()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_push_that_is_killed_at_any_request_leaves_the_old_release_or_the_new(
    server: S3Server, tmp_path: Path, *, after: bool
) -> None:
    count = requests_of_a_push(server, tmp_path)
    assert count >= 8

    ends = [killed_at(ChannelBench(server, tmp_path), at, after=after) for at in range(count)]

    assert ends.count(OLD) + ends.count(NEW) == count
    # The pointer moves once, near the end.
    assert ends == sorted(ends, key=lambda one: one == NEW)
    assert ends[0] == OLD
    assert ends[-1] == NEW


def test_a_push_that_was_killed_is_done_by_the_next_one(bench: ChannelBench) -> None:
    killed_at(bench, 4, after=True)

    bench.push("new", "both2")

    assert bench.content() == NEW


def test_the_very_first_push_that_is_killed_leaves_no_channel(bench: ChannelBench) -> None:
    with (
        bench.server.failing(Fault(method="PUT", name="/channels/coffee", drop=True, times=99)),
        pytest.raises(ArtifactError),
    ):
        bench.push("new", bucket=bench.open(KILLED))

    assert Pointers(bench.open()).read("coffee", "prod") == (None, None)


def test_a_lost_answer_to_the_move_is_no_failure(bench: ChannelBench) -> None:
    bench.push("old")
    lost = Fault(method="PUT", name="/channels/coffee", drop=True, after=True)
    with bench.server.failing(lost):
        bench.push("new")

    assert lost.happened == 1
    assert bench.content() == [b"new"]


def test_of_two_pushes_at_once_one_wins_and_the_other_gets_a_sentence(bench: ChannelBench) -> None:
    bench.push("old")
    meanwhile = Fault(method="PUT", name="/channels/coffee", act=lambda: bench.push("other"))
    with (
        bench.server.failing(meanwhile),
        pytest.raises(ArtifactError, match="was moved by another push meanwhile; this one changed"),
    ):
        bench.push("new")

    assert bench.content() == [b"other"]
    assert [one.after for one in bench.channel().releases] == [bench.channel().releases[1].id, ""]


def test_of_two_first_pushes_at_once_one_wins(bench: ChannelBench) -> None:
    meanwhile = Fault(method="PUT", name="/channels/coffee", act=lambda: bench.push("other"))
    with bench.server.failing(meanwhile), pytest.raises(ArtifactError, match="another push"):
        bench.push("new")

    assert bench.content() == [b"other"]


def test_a_store_that_ignores_conditions_is_refused_before_the_channel_moves(
    server: S3Server, bench: ChannelBench
) -> None:
    bench.push("old")
    server.ignores_conditions = True
    try:
        with pytest.raises(ArtifactError, match="ignores If-Match or If-None-Match"):
            bench.push("new")
    finally:
        server.ignores_conditions = False

    assert bench.content() == [b"old"]


def test_the_same_push_twice_moves_nothing(bench: ChannelBench) -> None:
    first = bench.push("old")
    pointer = bench.server.content(bench.name, "m/channels/coffee/prod.json")

    assert bench.push("old") == first
    assert bench.server.content(bench.name, "m/channels/coffee/prod.json") == pointer


def test_release_goes_back_and_a_later_push_is_not_taken_for_what_was_left(
    bench: ChannelBench,
) -> None:
    good, bad = bench.push("good"), bench.push("bad")

    assert bench.back("previous") == good
    assert bench.content() == [b"good"]
    better = bench.push("better")
    assert better.after == good.id
    assert bench.back("previous") == good
    assert bench.back(bad.id) is not None
    assert bench.content() == [b"bad"]


def test_release_refuses_what_is_no_longer_there_and_changes_nothing(bench: ChannelBench) -> None:
    first, _ = bench.push("good"), bench.push("bad")
    bench.open().delete(object_name(first.artifacts[0].sha256))

    with pytest.raises(ArtifactError, match="is gone or damaged; push that release again"):
        bench.back("previous")
    with pytest.raises(ArtifactError, match="has no release 000000000000; it knows"):
        bench.back("000000000000")
    assert bench.content() == [b"bad"]


def test_release_of_the_first_push_has_nothing_before_it(bench: ChannelBench) -> None:
    assert bench.back("previous") is None
    first = bench.push("good")

    with pytest.raises(ArtifactError, match=f"has no release before {first.id}"):
        bench.back("previous")


LIES: dict[str, Callable[[str], str]] = {
    "no JSON": lambda text: f"<html>{text}",
    "another format": lambda text: text.replace('"format": 1', '"format": 2'),
    "a hash that is a path": lambda text: text.replace(
        sha256(b"good").hexdigest(), "../" * 21 + "x"
    ),
    "another hash": lambda text: text.replace(sha256(b"good").hexdigest(), "0" * 64),
    "another size of nothing": lambda text: text.replace('"size": 4', '"size": 0'),
    "an unknown stage": lambda text: text.replace('"extract"', '"rm -rf"'),
    "an unknown Python": lambda text: text.replace('"3.11"', '"2.7"'),
    "an unknown current": lambda text: text.replace('"current": "', '"current": "0', 1),
    "a field too many": lambda text: text.replace('"format"', '"run": "x", "format"'),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_pointer_that_lies_is_refused(bench: ChannelBench, lie: Callable[[str], str]) -> None:
    bench.push("good")
    text = bench.server.content(bench.name, "m/channels/coffee/prod.json").decode()
    assert lie(text) != text
    bench.put("channels/coffee/prod.json", lie(text).encode())

    with pytest.raises(
        ArtifactError, match=r"the channel prod of coffee in s3://.* cannot be used"
    ):
        bench.channel()


@pytest.mark.parametrize("content", [b"goo", b"evil", b"good and more"])
def test_an_artifact_with_other_bytes_than_its_name_says_is_refused(
    bench: ChannelBench, content: bytes
) -> None:
    release = bench.push("good")
    (one,) = release.artifacts
    bench.put(object_name(one.sha256), content)

    with pytest.raises(ArtifactError, match="is damaged: it has other bytes than its name says"):
        bench.open().fetch(one.sha256, one.size, io.BytesIO())


class FullDisk(io.BytesIO):
    def write(self, _: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_not_taken_for_a_bucket_out_of_reach(bench: ChannelBench) -> None:
    (one,) = bench.push("good").artifacts

    with pytest.raises(ArtifactError, match=r"cannot keep s3://.* here: No space left on device"):
        bench.open().fetch(one.sha256, one.size, FullDisk())


def test_a_channel_forgets_the_oldest_of_more_than_ten_releases(bench: ChannelBench) -> None:
    first, second, *others = [bench.push(f"release {number}") for number in range(11)]

    known = [one.id for one in bench.channel().releases]
    assert known == [one.id for one in reversed([second, *others])]
    with pytest.raises(ArtifactError, match=f"has no release {first.id}; it knows"):
        bench.back(first.id)


def test_a_push_never_forgets_the_release_that_it_replaces(bench: ChannelBench) -> None:
    first, *_ = [bench.push(f"release {number}") for number in range(10)]
    bench.back(first.id)
    bench.push("release 10")

    assert bench.back("previous") == first


def test_a_push_of_the_current_release_notices_that_another_one_moved_the_channel(
    bench: ChannelBench,
) -> None:
    bench.push("old", "both")
    # The last request but one: when all its objects are there, and nothing is left to write.
    meanwhile = Fault(
        method="HEAD", name="/sha256/", skip=3, act=lambda: bench.push("new", "both2")
    )
    with (
        bench.server.failing(meanwhile),
        pytest.raises(ArtifactError, match="was moved by another push meanwhile"),
    ):
        bench.push("old", "both")

    assert meanwhile.happened == 1
    assert bench.content() == NEW


def test_a_way_back_to_the_current_release_notices_it_too(bench: ChannelBench) -> None:
    release = bench.push("old", "both")
    meanwhile = Fault(method="HEAD", name="/sha256/", act=lambda: bench.push("new", "both2"))
    with (
        bench.server.failing(meanwhile),
        pytest.raises(ArtifactError, match="was moved by another push meanwhile"),
    ):
        bench.back(release.id)

    assert bench.content() == NEW
