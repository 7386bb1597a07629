"""The status of a pipeline in the bucket: written by each run, and true when two end at once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from fakes.patience import QUICK
from fakes.s3 import KEY, SECRET, Fault, S3Server
from fakes.workshop import Workshop
from materia.errors import ArtifactError
from materia_runner.artifact.bucket import ArtifactBucket
from materia_runner.config.pipeline import Bucket
from materia_runner.schedule.status import read_status, write_status

KEYS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def bucket(server: S3Server) -> ArtifactBucket:
    address = Bucket(url=f"s3://{server.new_bucket()}/m", endpoint=server.endpoint)
    return ArtifactBucket(address, KEYS, patience=QUICK)


@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_a_good_run_that_another_computer_notes_meanwhile_stays_known(
    server: S3Server, bucket: ArtifactBucket, *, first: bool
) -> None:
    if not first:
        write_status(bucket, "coffee", host="a", code=1)
    meanwhile = Fault(
        method="PUT",
        name="/status/",
        act=lambda: write_status(bucket, "coffee", host="good", code=0),
    )
    with server.failing(meanwhile):
        write_status(bucket, "coffee", host="busy", code=5)

    status = read_status(bucket, "coffee")
    assert status is not None
    assert (status.host, status.exit_code) == ("busy", 5)
    assert status.good_at is not None


def test_a_lost_answer_is_no_other_computer(server: S3Server, bucket: ArtifactBucket) -> None:
    lost = Fault(method="PUT", name="/status/", drop=True, after=True)
    before = len(server.requests)
    with server.failing(lost):
        write_status(bucket, "coffee", host="a", code=0)

    assert lost.happened == 1
    assert [one.split()[0] for one in server.since(before)] == ["GET", "PUT", "PUT", "GET"]


def test_a_status_that_cannot_be_read_is_not_forgotten(
    server: S3Server, bucket: ArtifactBucket
) -> None:
    write_status(bucket, "coffee", host="good", code=0)
    with (
        server.failing(Fault(method="GET", name="/status/", status=403, code="AccessDenied")),
        pytest.raises(ArtifactError),
    ):
        write_status(bucket, "coffee", host="bad", code=1)

    status = read_status(bucket, "coffee")
    assert status is not None
    assert status.good_at is not None


def test_a_damaged_status_is_replaced(bucket: ArtifactBucket) -> None:
    bucket.write("status/coffee.json", b"\xff")
    write_status(bucket, "coffee", host="a", code=0)

    status = read_status(bucket, "coffee")
    assert status is not None
    assert status.good_at is not None


def test_a_store_that_finds_nothing_at_all_is_an_error_of_the_bucket(
    server: S3Server, bucket: ArtifactBucket
) -> None:
    with server.failing(Fault(status=404, times=99)), pytest.raises(ArtifactError):
        write_status(bucket, "coffee", host="a", code=0)


def test_a_run_writes_its_status_into_the_bucket_and_any_computer_can_check_it(
    run_folders: Workshop, server: S3Server
) -> None:
    bucket = server.new_bucket()
    text = (run_folders.directory / "materia.toml").read_text()
    address = f'[artifacts]\nbucket = "s3://{bucket}/m"\nendpoint = "{server.endpoint}"\n'
    run_folders.write("materia.toml", f"{text}{address}")
    run_folders.write("in/2024-02.csv", "#crash\n")

    failed = run_folders.run("run", "--quiet", environment=KEYS)
    written = json.loads(server.content(bucket, "m/status/folder.json"))
    checked = run_folders.run(
        "schedule", "check", environment={**KEYS, "MATERIA_STATE_DIR": "/none"}
    )

    assert failed.returncode == 1
    assert (written["exit_code"], written["good_at"]) == (1, None)
    assert checked.returncode == 1
    assert "no run of folder has succeeded: the last run ended " in checked.stderr


def test_a_bucket_that_is_down_changes_no_run(run_folders: Workshop) -> None:
    text = (run_folders.directory / "materia.toml").read_text()
    address = '[artifacts]\nbucket = "s3://b"\nendpoint = "http://127.0.0.1:1"\n'
    run_folders.write("materia.toml", f"{text}{address}")
    run_folders.write("in/2024-02.csv", "#crash\n")

    failed = run_folders.run("run", "--quiet")

    assert failed.returncode == 1
    assert "warning: the status of this run was not written: " in failed.stderr
