"""A push to a channel against an S3 store: killed anywhere, raced, pruned, and lied to."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from fakes.patience import QUICK
from fakes.s3 import KEY, SECRET, Fault, S3Server
from materia.errors import ArtifactError
from materia_runner.artifact.bucket import ArtifactBucket, object_name
from materia_runner.artifact.channel.pointer import Pointers
from materia_runner.artifact.channel.prune import prune
from materia_runner.artifact.channel.publish import Content, move_back, push_release
from materia_runner.artifact.channel.release import Channel, Release
from materia_runner.artifact.target import EXTRACT, WHOLE, Artifact
from materia_runner.config.pipeline import Bucket

KEYS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
# A push that fails at once is, for the bucket, one that was killed.
KILLED = replace(QUICK, reach=timedelta(0), overall=timedelta(0))
FOREVER = 1_000_000
CONTENT = Content(
    commit="c0ffee", source="folder", sink="shelf", versions={"materia-core": "1"}, models="m"
)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


class Bench:
    """A bucket, and artifacts to push into it."""

    def __init__(self, server: S3Server, folder: Path) -> None:
        self.server = server
        self.name = server.new_bucket()
        self.address = Bucket(url=f"s3://{self.name}/m", endpoint=server.endpoint)
        self._folder = folder

    def open(self, patience: object = QUICK) -> ArtifactBucket:
        return ArtifactBucket(self.address, KEYS, patience=patience)  # type: ignore[arg-type]

    def artifacts(self, *texts: str) -> list[Artifact]:
        made = []
        for text, stages in zip(texts, (EXTRACT, WHOLE), strict=False):
            content = text.encode()
            path = self._folder / f"{text}.tar.gz"
            path.write_bytes(content)
            made.append(
                Artifact(
                    path=path,
                    sha256=sha256(content).hexdigest(),
                    python="3.11",
                    architecture="x86_64",
                    size=len(content),
                    stages=stages,
                )
            )
        return made

    def push(self, *texts: str, bucket: ArtifactBucket | None = None) -> Release:
        return push_release(
            bucket or self.open(),
            self.artifacts(*texts),
            CONTENT,
            pipeline="coffee",
            channel="prod",
            say=lambda _: None,
        )

    def back(self, to: str) -> Release | None:
        return move_back(self.open(), to, pipeline="coffee", channel="prod")

    def channel(self) -> Channel:
        channel, _ = Pointers(self.open()).read("coffee", "prod")
        assert channel is not None
        return channel

    def content(self) -> list[bytes]:
        """What a run of the channel would get: everything is there, with the right hash."""
        bucket, found = self.open(), []
        for one in self.channel().release.artifacts:
            out = io.BytesIO()
            bucket.fetch(one.sha256, one.size, out)
            found.append(out.getvalue())
        return found


@pytest.fixture
def bench(server: S3Server, tmp_path: Path) -> Bench:
    return Bench(server, tmp_path)


def requests_of_a_push(server: S3Server, folder: Path) -> int:
    bench = Bench(server, folder)
    bench.push("old", "both")
    before = len(server.requests)
    bench.push("new", "both2")
    return len(server.since(before))


OLD, NEW = [b"old", b"both"], [b"new", b"both2"]


def killed_at(bench: Bench, at: int, *, after: bool) -> list[bytes]:
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

    ends = [killed_at(Bench(server, tmp_path), at, after=after) for at in range(count)]

    assert ends.count(OLD) + ends.count(NEW) == count
    # The pointer moves once, near the end.
    assert ends == sorted(ends, key=lambda one: one == NEW)
    assert ends[0] == OLD
    assert ends[-1] == NEW


def test_a_push_that_was_killed_is_done_by_the_next_one(bench: Bench) -> None:
    killed_at(bench, 4, after=True)

    bench.push("new", "both2")

    assert bench.content() == NEW


def test_the_very_first_push_that_is_killed_leaves_no_channel(bench: Bench) -> None:
    with (
        bench.server.failing(Fault(method="PUT", name="/channels/coffee", drop=True, times=99)),
        pytest.raises(ArtifactError),
    ):
        bench.push("new", bucket=bench.open(KILLED))

    assert Pointers(bench.open()).read("coffee", "prod") == (None, None)


def test_a_lost_answer_to_the_move_is_no_failure(bench: Bench) -> None:
    bench.push("old")
    lost = Fault(method="PUT", name="/channels/coffee", drop=True, after=True)
    with bench.server.failing(lost):
        bench.push("new")

    assert lost.happened == 1
    assert bench.content() == [b"new"]


def test_of_two_pushes_at_once_one_wins_and_the_other_gets_a_sentence(bench: Bench) -> None:
    bench.push("old")
    meanwhile = Fault(method="PUT", name="/channels/coffee", act=lambda: bench.push("other"))
    with (
        bench.server.failing(meanwhile),
        pytest.raises(ArtifactError, match="was moved by another push meanwhile; this one changed"),
    ):
        bench.push("new")

    assert bench.content() == [b"other"]
    assert [one.after for one in bench.channel().releases] == [bench.channel().releases[1].id, ""]


def test_of_two_first_pushes_at_once_one_wins(bench: Bench) -> None:
    meanwhile = Fault(method="PUT", name="/channels/coffee", act=lambda: bench.push("other"))
    with bench.server.failing(meanwhile), pytest.raises(ArtifactError, match="another push"):
        bench.push("new")

    assert bench.content() == [b"other"]


def test_a_store_that_ignores_conditions_is_refused_before_the_channel_moves(
    server: S3Server, bench: Bench
) -> None:
    bench.push("old")
    server.ignores_conditions = True
    try:
        with pytest.raises(ArtifactError, match="ignores If-Match or If-None-Match"):
            bench.push("new")
    finally:
        server.ignores_conditions = False

    assert bench.content() == [b"old"]


def test_the_same_push_twice_moves_nothing(bench: Bench) -> None:
    first = bench.push("old")
    pointer = bench.server.content(bench.name, "m/channels/coffee/prod.json")

    assert bench.push("old") == first
    assert bench.server.content(bench.name, "m/channels/coffee/prod.json") == pointer


def test_release_goes_back_and_a_later_push_is_not_taken_for_what_was_left(bench: Bench) -> None:
    good, bad = bench.push("good"), bench.push("bad")

    assert bench.back("previous") == good
    assert bench.content() == [b"good"]
    better = bench.push("better")
    assert better.after == good.id
    assert bench.back("previous") == good
    assert bench.back(bad.id) is not None
    assert bench.content() == [b"bad"]


def test_release_refuses_what_is_no_longer_there_and_changes_nothing(bench: Bench) -> None:
    first, _ = bench.push("good"), bench.push("bad")
    bench.open().delete(object_name(first.artifacts[0].sha256))

    with pytest.raises(ArtifactError, match="is gone or damaged; push that release again"):
        bench.back("previous")
    with pytest.raises(ArtifactError, match="has no release 000000000000; it knows"):
        bench.back("000000000000")
    assert bench.content() == [b"bad"]


def test_release_of_the_first_push_has_nothing_before_it(bench: Bench) -> None:
    assert bench.back("previous") is None
    first = bench.push("good")

    with pytest.raises(ArtifactError, match=f"has no release before {first.id}"):
        bench.back("previous")


def test_prune_spares_what_channels_name_and_what_was_just_written(bench: Bench) -> None:
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


def test_a_push_refreshes_old_objects_so_that_a_prune_under_way_spares_them(bench: Bench) -> None:
    bench.open().push(*bench.artifacts("kept"))
    bench.server.age(bench.name, timedelta(days=3))
    # The prune has read the channels, and a push moves one before it deletes.
    before_it_looks = Fault(method="HEAD", name="/sha256/", act=lambda: bench.push("kept"))
    with bench.server.failing(before_it_looks):
        assert prune(bench.open(), keep=0) == []

    assert bench.content() == [b"kept"]


def test_a_push_puts_back_what_a_prune_deleted_meanwhile(bench: Bench) -> None:
    (artifact,) = bench.artifacts("kept")
    deleted = Fault(
        method="PUT",
        name="/channels/coffee",
        act=lambda: bench.open().delete(object_name(artifact.sha256)),
    )
    with bench.server.failing(deleted):
        bench.push("kept")

    assert bench.content() == [b"kept"]


def put(bench: Bench, name: str, content: bytes) -> None:
    bench.server.client().put_object(Bucket=bench.name, Key=f"m/{name}", Body=content)


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
def test_a_pointer_that_lies_is_refused(bench: Bench, lie: Callable[[str], str]) -> None:
    bench.push("good")
    text = bench.server.content(bench.name, "m/channels/coffee/prod.json").decode()
    assert lie(text) != text
    put(bench, "channels/coffee/prod.json", lie(text).encode())

    with pytest.raises(
        ArtifactError, match=r"the channel prod of coffee in s3://.* cannot be used"
    ):
        bench.channel()


@pytest.mark.parametrize("content", [b"goo", b"evil", b"good and more"])
def test_an_artifact_with_other_bytes_than_its_name_says_is_refused(
    bench: Bench, content: bytes
) -> None:
    release = bench.push("good")
    (one,) = release.artifacts
    put(bench, object_name(one.sha256), content)

    with pytest.raises(ArtifactError, match="is damaged: it has other bytes than its name says"):
        bench.open().fetch(one.sha256, one.size, io.BytesIO())


class FullDisk(io.BytesIO):
    def write(self, _: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_not_taken_for_a_bucket_out_of_reach(bench: Bench) -> None:
    (one,) = bench.push("good").artifacts

    with pytest.raises(ArtifactError, match=r"cannot keep s3://.* here: No space left on device"):
        bench.open().fetch(one.sha256, one.size, FullDisk())


def test_a_prune_that_cannot_read_a_channel_deletes_nothing(bench: Bench) -> None:
    bench.push("good")
    bench.open().push(*bench.artifacts("loose"))
    bench.server.age(bench.name, timedelta(days=3))
    put(bench, "channels/coffee/other.json", b"<html>")

    with pytest.raises(ArtifactError, match="cannot be used"):
        prune(bench.open(), keep=0, now=datetime.now(UTC))
    assert len(bench.open().every()) == 2


def test_a_channel_forgets_the_oldest_of_more_than_ten_releases(bench: Bench) -> None:
    first, second, *others = [bench.push(f"release {number}") for number in range(11)]

    known = [one.id for one in bench.channel().releases]
    assert known == [one.id for one in reversed([second, *others])]
    with pytest.raises(ArtifactError, match=f"has no release {first.id}; it knows"):
        bench.back(first.id)


def test_a_push_never_forgets_the_release_that_it_replaces(bench: Bench) -> None:
    first, *_ = [bench.push(f"release {number}") for number in range(10)]
    bench.back(first.id)
    bench.push("release 10")

    assert bench.back("previous") == first


def test_a_push_of_the_current_release_notices_that_another_one_moved_the_channel(
    bench: Bench,
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


def test_a_way_back_to_the_current_release_notices_it_too(bench: Bench) -> None:
    release = bench.push("old", "both")
    meanwhile = Fault(method="HEAD", name="/sha256/", act=lambda: bench.push("new", "both2"))
    with (
        bench.server.failing(meanwhile),
        pytest.raises(ArtifactError, match="was moved by another push meanwhile"),
    ):
        bench.back(release.id)

    assert bench.content() == NEW
