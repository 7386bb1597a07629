"""Raw files in a bucket: recorded, found again, and missed, with no request that is not needed."""

import json
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.s3 import S3Server
from fakes.s3_runs import Machine
from materia.data import Absent, Known, Unchanged
from materia.errors import SinkError
from materia_store.bucket.objects import PART
from materia_testing.contracts.sinks.raw import JANUARY, OLD, SOURCE, fetched, in_use

WORD = "coffee/raw/acme/2026-01/known.json"


def test_of_extracts_at_the_same_time_none_loses_a_file(
    s3_server: S3Server, bucket: str, on: Machine, tmp_path: Path
) -> None:
    contents = [f"prices {number}".encode() for number in range(6)]
    begin = threading.Barrier(len(contents))

    def extract(number: int) -> None:
        sink = on(f"machine {number}")
        result = fetched(tmp_path / f"in {number}", JANUARY, contents[number])
        sink.known(SOURCE)
        begin.wait()
        sink.record(SOURCE, JANUARY, result)

    with ThreadPoolExecutor(len(contents)) as pool:
        list(pool.map(extract, range(len(contents))))
    word = json.loads(s3_server.content(bucket, WORD))

    assert sorted(file["size"] for file in word["files"]) == sorted(map(len, contents))
    assert word["in_use"] == word["files"][-1]["sha256"]
    assert in_use(on("reader")) in contents


def test_what_has_not_changed_is_not_read_again(
    s3_server: S3Server, on: Machine, tmp_path: Path
) -> None:
    months = [replace(JANUARY, key=f"2026-{month:02}") for month in range(1, 6)]
    for month in months:
        on("one").record(SOURCE, month, fetched(tmp_path / "in", month, OLD))
    sink = on("two")
    sink.known(SOURCE)
    on("one").record(SOURCE, months[2], Absent(removed=True))
    count = len(s3_server.requests)
    known = sink.known(SOURCE)
    asked = s3_server.since(count)

    assert len(asked) == 3, "a listing, the index, and the one that changed"
    assert asked[2].endswith("/2026-03/known.json")
    assert known["2026-03"].absent


def test_unchanged_within_a_day_costs_no_request(
    s3_server: S3Server, on: Machine, tmp_path: Path
) -> None:
    raw = fetched(tmp_path / "in", JANUARY, OLD).raw
    on("one").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    sink = on("two")
    sink.known(SOURCE)
    count = len(s3_server.requests)
    same = Unchanged(etag=raw.etag, last_modified=raw.last_modified)
    sink.record(SOURCE, JANUARY, same)

    assert s3_server.since(count) == []
    sink.record(SOURCE, JANUARY, replace(same, etag='"new"'))
    assert on("three").known(SOURCE)[JANUARY.key].etag == '"new"'


def test_a_raw_file_is_downloaded_once_and_only_when_it_is_wanted(
    s3_server: S3Server, on: Machine, tmp_path: Path
) -> None:
    on("one").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    count = len(s3_server.requests)
    assert in_use(on("one")) == OLD
    assert not [one for one in s3_server.since(count) if one.endswith(".zip")], "it was here"
    count = len(s3_server.requests)
    for _ in range(3):
        assert in_use(on("two")) == OLD

    assert len([one for one in s3_server.since(count) if one.endswith(".zip")]) == 1


def test_a_raw_file_that_was_removed_comes_again(
    s3_server: S3Server, bucket: str, on: Machine, tmp_path: Path
) -> None:
    on("one").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    (name,) = (name for name in s3_server.names(bucket) if name.endswith(".zip"))
    s3_server.client().delete_object(Bucket=bucket, Key=name)
    known = on("two").known(SOURCE)[JANUARY.key]

    assert known.raw is not None
    assert known.etag is None
    assert in_use(on("two")) is None
    on("two").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    assert in_use(on("three")) == OLD


@pytest.mark.parametrize("left", [b"", b"x" * len(OLD)], ids=["torn", "of the same size"])
def test_a_raw_file_that_was_damaged_is_never_handed_out(
    s3_server: S3Server, bucket: str, on: Machine, tmp_path: Path, left: bytes
) -> None:
    on("one").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    (name,) = (name for name in s3_server.names(bucket) if name.endswith(".zip"))
    s3_server.client().put_object(Bucket=bucket, Key=name, Body=left)
    with pytest.raises(SinkError, match=r"prices\.\w{16}\.zip: is damaged.* delete it"):
        in_use(on("two"))

    assert not list((tmp_path / "two").rglob("*.zip"))


def test_a_removed_file_that_is_refused_is_asked_for_again(
    s3_server: S3Server, bucket: str, on: Machine, tmp_path: Path
) -> None:
    one = fetched(tmp_path / "in", JANUARY, OLD)
    on("one").record(SOURCE, JANUARY, one)
    (name,) = (name for name in s3_server.names(bucket) if name.endswith(".zip"))
    s3_server.client().delete_object(Bucket=bucket, Key=name)
    on("two").refuse(SOURCE, one.raw, "cannot be found")
    known = on("two").known(SOURCE)[JANUARY.key]

    assert known == Known(url=JANUARY.url, checked_at=known.checked_at, refused=known.refused)
    assert "removed from the bucket" in str(known.refused)


def test_large_files_come_and_go_in_parts(s3_server: S3Server, on: Machine, tmp_path: Path) -> None:
    content = bytes(range(251)) * ((2 * PART + 12345) // 251)
    count = len(s3_server.requests)
    on("one").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, content))

    assert [one for one in s3_server.since(count) if "partNumber=3" in one]
    assert in_use(on("two")) == content
    count = len(s3_server.requests)
    on("three").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, content))
    assert not [one for one in s3_server.since(count) if "partNumber" in one]


def test_a_fetched_file_on_another_file_system_is_copied_here(
    s3_server: S3Server, on: Machine
) -> None:
    elsewhere = Path("/dev/shm")  # noqa: S108 -- a file system of its own on Linux
    if not elsewhere.is_dir():
        pytest.skip("there is no second file system here")
    with tempfile.TemporaryDirectory(dir=elsewhere) as folder:
        result = fetched(Path(folder), JANUARY, OLD)
        on("one").record(SOURCE, JANUARY, result)
        assert not result.path.exists()
    count = len(s3_server.requests)

    assert in_use(on("one")) == OLD
    assert not [one for one in s3_server.since(count) if one.endswith(".zip")]
