"""The last publications of a bucket: listed, read, and restored by a rollback."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.patience import QUICK
from fakes.s3 import KEY, SECRET, Fault, S3Server
from fakes.s3_runs import Machine, machines
from fakes.workshop import Workshop
from materia.errors import BusyError, SinkError
from materia_store.bucket.pointer import Earlier, Pointer, decode, encode
from materia_testing.contracts.sinks.publish import (
    ROWS,
    build,
    expected,
    publish_version,
    read_duckdb,
    request,
)

POINTER = "coffee/published.json"


def in_force(on: Machine) -> int:
    """The version that a reader on another machine finds."""
    path = on("reader").published()
    assert path is not None
    return read_duckdb(path)[0] // ROWS


@pytest.fixture
def patient(s3_server: S3Server, bucket: str, tmp_path: Path) -> Machine:
    """Such machines that wait while the store answers late, as another publishes meanwhile."""
    minute = timedelta(seconds=60)
    patience = replace(QUICK, request=minute, overall=minute)
    return machines(s3_server, bucket, tmp_path, patience)


def test_publications_are_listed_newest_first_with_their_objects(bucket: str, on: Machine) -> None:
    for version in (1, 2, 3):
        publish_version(on("one"), version)
    kept = on("two").publications()

    assert [(one.run, one.rows, one.restores) for one in kept] == [
        (f"run {version}", version * ROWS + 1, None) for version in (3, 2, 1)
    ]
    assert kept[0].published_at > kept[1].published_at > kept[2].published_at
    assert all(one.size > 0 for one in kept)
    assert all(one.place.startswith(f"s3://{bucket}/coffee/databases/") for one in kept)
    assert [read_duckdb(on("two").published_by(f"run {version}"))[0] for version in (1, 2, 3)] == [
        version * ROWS for version in (1, 2, 3)
    ]


def test_nothing_is_listed_before_the_first_publication_and_nothing_can_be_restored(
    on: Machine,
) -> None:
    assert on("one").publications() == ()
    with pytest.raises(SinkError, match="nothing is published yet; run `materia run`"):
        on("one").roll_back("run 1", run="back")


def test_a_rollback_is_a_publication_with_the_fingerprint_of_the_last_build(on: Machine) -> None:
    publish_version(on("one"), 1)
    publish_version(on("one"), 2)
    on("two").roll_back("run 1", run="back")

    assert in_force(on) == 1
    assert on("reader").fingerprint() == "stamp 2", "a run that finds nothing new does nothing"
    assert [(one.run, one.restores) for one in on("two").publications()] == [
        ("back", "run 1"),
        ("run 2", None),
        ("run 1", None),
    ]


def test_a_rollback_again_changes_nothing_and_one_forward_restores_the_newest(
    s3_server: S3Server, bucket: str, on: Machine
) -> None:
    publish_version(on("one"), 1)
    publish_version(on("one"), 2)
    on("two").roll_back("run 1", run="back")
    before = s3_server.content(bucket, POINTER)
    on("three").roll_back("run 1", run="back")
    assert s3_server.content(bucket, POINTER) == before

    on("three").roll_back("run 2", run="forward")
    assert in_force(on) == 2
    on("three").roll_back("back", run="back again")
    assert in_force(on) == 1
    assert on("three").publications()[0].restores == "run 1"


def test_the_next_build_starts_from_what_was_restored(on: Machine) -> None:
    publish_version(on("one"), 1)
    publish_version(on("one"), 2)
    on("one").roll_back("run 1", run="back")

    assert read_duckdb(on("one").checkout())[0] == ROWS
    assert publish_version(on("one"), 3) == expected(3)
    assert in_force(on) == 3


def test_a_run_that_began_before_a_rollback_publishes_nothing(on: Machine) -> None:
    publish_version(on("one"), 1)
    publish_version(on("one"), 2)
    slow = on("slow")
    database = slow.checkout()
    build(database, 3)
    on("two").roll_back("run 1", run="back")
    with pytest.raises(BusyError, match="the run 'back' has published since this run began"):
        slow.publish(request("run 3", database, 3))

    assert in_force(on) == 1


def test_a_rollback_that_a_run_has_overtaken_says_so(s3_server: S3Server, patient: Machine) -> None:
    on = patient
    publish_version(on("one"), 1)
    publish_version(on("one"), 2)
    other = Fault(
        method="PUT", name="published.json$", act=lambda: publish_version(on("other"), 3), times=1
    )
    with (
        s3_server.failing(other),
        pytest.raises(BusyError, match="the run 'run 3' has published since"),
    ):
        on("two").roll_back("run 1", run="back")

    assert other.happened
    assert in_force(on) == 3


def test_a_rollback_with_a_lost_answer_before_another_run_has_published(
    s3_server: S3Server, patient: Machine
) -> None:
    on = patient
    publish_version(on("one"), 1)
    publish_version(on("one"), 2)
    other = Fault(
        method="PUT",
        name="published.json$",
        act=lambda: publish_version(on("other"), 3),
        drop=True,
        after=True,
    )
    with s3_server.failing(other):
        on("two").roll_back("run 1", run="back")

    assert [one.run for one in on("two").publications()][:2] == ["run 3", "back"]


def test_a_rollback_beside_a_run_of_the_same_folder_is_refused(on: Machine) -> None:
    publish_version(on("one"), 1)
    publish_version(on("one"), 2)
    slow = on("one")
    database = slow.checkout()
    with pytest.raises(BusyError):
        on("one").roll_back("run 1", run="back")

    build(database, 3)
    assert tuple(slow.publish(request("run 3", database, 3))) == expected(3)


def test_only_the_last_publications_are_kept(
    s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    on = machines(s3_server, bucket, tmp_path, kept=2)
    publish_version(on("one"), 1)
    told = json.loads(s3_server.content(bucket, POINTER))
    for version in (2, 3):
        publish_version(on("one"), version)
        told = json.loads(s3_server.content(bucket, POINTER))
        for one in told["earlier"]:
            one["replaced_at"] = "2026-01-01T00:00:00+00:00"
        s3_server.client().put_object(Bucket=bucket, Key=POINTER, Body=json.dumps(told))
    publish_version(on("one"), 4)
    refusal = r"no publication of the run 'run 1' .*kept are: run 4, run 3$"

    assert [one.run for one in on("two").publications()] == ["run 4", "run 3"]
    with pytest.raises(SinkError, match=refusal):
        on("two").roll_back("run 1", run="back")
    with pytest.raises(SinkError, match=refusal):
        on("two").published_by("run 1")


def test_a_publication_whose_object_is_missing_is_not_restored(
    s3_server: S3Server, bucket: str, on: Machine
) -> None:
    publish_version(on("one"), 1)
    publish_version(on("one"), 2)
    name = on("one").publications()[1].place.removeprefix(f"s3://{bucket}/")
    s3_server.client().delete_object(Bucket=bucket, Key=name)
    with pytest.raises(SinkError, match="is missing, so it can be neither read nor restored"):
        on("two").roll_back("run 1", run="back")

    assert in_force(on) == 2


def test_a_rollback_from_a_local_copy_uploads_an_object_that_is_missing(
    s3_server: S3Server, bucket: str, on: Machine
) -> None:
    publish_version(on("one"), 1)
    publish_version(on("one"), 2)
    name = on("one").publications()[1].place.removeprefix(f"s3://{bucket}/")
    s3_server.client().delete_object(Bucket=bucket, Key=name)
    on("one").roll_back("run 1", run="back")

    assert in_force(on) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("run", "\x1b[2J"),
        ("run", 7),
        ("restores", ["run 1"]),
        ("rows", "many"),
        ("size", "large"),
        ("published_at", "2026-01-01T00:00:00"),
        ("replaced_at", "2026-01-01T00:00:00"),
    ],
)
def test_an_earlier_publication_that_cannot_be_shown_is_damage(name: str, value: object) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    sha256 = "0" * 64
    place = f"databases/{sha256}/materia.duckdb"
    earlier = Earlier(object=place, replaced_at=at, run="1", published_at=at, rows=1, size=1)
    pointer = Pointer(
        run="2",
        fingerprint="",
        published_at=at,
        object=place,
        sha256=sha256,
        size=1,
        tables=(),
        earlier=(earlier,),
    )
    assert decode(encode(pointer), "here") == pointer
    told = json.loads(encode(pointer))
    told["earlier"][0][name] = value
    with pytest.raises(SinkError, match="here: is damaged"):
        decode(json.dumps(told).encode(), "here")


def test_a_rollback_of_the_command_stays_over_runs_without_news_and_ends_with_a_new_partition(
    s3_server: S3Server, bucket: str, workshop: Workshop
) -> None:
    workshop.install("folder", "fakes.folder")
    home = workshop.directory
    (home / "in").mkdir()
    keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    workshop.write(
        "materia.toml",
        'source = "folder"\nsink = "s3"\n[sinks.s3]\n'
        f'bucket = "s3://{bucket}/coffee"\nendpoint = "{s3_server.endpoint}"\n',
    )

    def materia(*arguments: str) -> str:
        ended = workshop.run(*arguments, environment=keys)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout + ended.stderr

    def names(*arguments: str) -> list[str]:
        sql = "SELECT name FROM serving.fct_line ORDER BY name"
        return materia("query", "--csv", *arguments, sql).split()[1:]

    for number, text in ((1, "apples,1\n"), (2, "pears,2\n")):
        (home / f"in/2024-0{number}.csv").write_text(text)
        materia("run", "--quiet")
    newest, first = json.loads(materia("tables", "history", "--json"))
    told = materia("tables", "rollback", "--to", first["run"])
    materia("run", "--quiet")

    assert "stay in force while runs find nothing new" in told
    assert "until a run builds\na new partition or a changed model" in told
    assert names() == ["apples"]
    assert names("--run", newest["run"]) == ["apples", "pears"]
    in_force, *_ = json.loads(materia("tables", "history", "--json"))
    recorded = json.loads(materia("runs", "show", "--json", in_force["run"]))
    shown = materia("runs", "show", in_force["run"])
    assert in_force["restores"] == first["run"]
    assert (recorded["state"], recorded["sink"], recorded["source"]) == ("ok", "s3", "")
    assert "what       rollback -> s3" in shown
    assert f"publishes the tables of the run {first['run']} (" in shown
    assert f"in place of those of the run {newest['run']}" in shown
    assert len(json.loads(materia("runs", "--json"))) == 4
    materia("report", "report.html")
    assert "rollback -&gt; s3" in (home / "report.html").read_text()
    assert "are in force already" in materia("tables", "rollback", "--to", first["run"])
    assert len(json.loads(materia("runs", "--json"))) == 4, "nothing was published"
    assert first["run"] in materia("tables", "history").splitlines()[1]
    listed = json.loads(materia("tables", "list", "--json", "--run", newest["run"]))
    assert {"table": "serving.fct_line", "rows": 2, "source": "folder"} in listed
    wrong = workshop.run("tables", "rollback", "--to", "nobody", environment=keys)
    assert wrong.returncode == 2
    assert "--to nobody: no publication of a run that begins so is kept" in wrong.stderr

    (home / "in/2024-03.csv").write_text("plums,3\n")
    materia("run", "--quiet")
    assert names() == ["apples", "pears", "plums"]
