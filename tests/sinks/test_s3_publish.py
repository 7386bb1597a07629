"""Databases in a bucket: who may publish, what another machine goes on from, and what goes."""

import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from fakes.s3 import KEY, SECRET, Fault, S3Server
from fakes.s3_runs import Machine, machines
from fakes.workshop import Workshop
from hypothesis import given
from hypothesis import strategies as st
from materia.errors import BusyError, SinkError
from materia_store.bucket.objects import ListedObject
from materia_store.bucket.pointer import KEPT_FOR, Pointer, expendable, history
from materia_testing.contracts.sinks.publish import (
    ROWS,
    build,
    expected,
    publish_version,
    read_duckdb,
    request,
)
from materia_testing.contracts.sinks.raw import JANUARY, OLD, SOURCE, fetched, in_use

POINTER = "coffee/published.json"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def databases(server: S3Server, bucket: str) -> list[str]:
    return [name for name in server.names(bucket) if "/databases/" in name]


def test_of_runs_on_machines_of_their_own_one_publishes_and_the_others_are_refused(
    bucket: str, on: Machine
) -> None:
    publish_version(on("home"), 1)
    begin = threading.Barrier(4)

    def run(version: int) -> BaseException | None:
        sink = on(f"machine {version}")
        database = sink.checkout()
        build(database, version)
        begin.wait()
        try:
            sink.publish(request(f"run {version}", database, version))
        except BusyError as error:
            return error
        return None

    with ThreadPoolExecutor(4) as pool:
        endings = dict(zip(range(2, 6), pool.map(run, range(2, 6)), strict=True))
    (winner,) = (version for version, error in endings.items() if error is None)
    path = on("reader").published()

    assert path is not None
    assert read_duckdb(path) == (winner * ROWS, winner * ROWS)
    assert on("reader").fingerprint() == f"stamp {winner}"
    told = f"s3://{bucket}/coffee/published.json: the run 'run {winner}' has published since"
    assert [error for error in endings.values() if error and told not in str(error)] == []
    loser = next(version for version, error in endings.items() if error)
    assert publish_version(on(f"machine {loser}"), 9) == expected(9)


def test_two_first_runs_do_not_overwrite_one_another(on: Machine) -> None:
    slow = on("slow")
    database = slow.checkout()
    build(database, 2)
    publish_version(on("quick"), 1)
    with pytest.raises(BusyError, match="'run 1' has published"):
        slow.publish(request("run 2", database, 2))

    assert on("reader").fingerprint() == "stamp 1"


def test_the_same_run_from_another_machine_changes_nothing(
    s3_server: S3Server, bucket: str, on: Machine
) -> None:
    publish_version(on("one"), 1)
    before = s3_server.content(bucket, POINTER)

    assert publish_version(on("two"), 1, run="run 1") == expected(1)
    assert s3_server.content(bucket, POINTER) == before
    assert len(databases(s3_server, bucket)) == 1


def test_a_run_whose_pointer_was_deleted_meanwhile_is_refused(
    s3_server: S3Server, bucket: str, on: Machine
) -> None:
    publish_version(on("one"), 1)
    sink = on("two")
    database = sink.checkout()
    build(database, 2)
    s3_server.client().delete_object(Bucket=bucket, Key=POINTER)
    with pytest.raises(BusyError, match=r"published\.json: it was deleted since this run began"):
        sink.publish(request("run 2", database, 2))

    assert on("three").fingerprint() is None
    assert publish_version(on("two"), 3) == expected(3)


def test_everything_but_the_bucket_may_be_lost(on: Machine, tmp_path: Path) -> None:
    on("extract").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    publish_version(on("transform"), 1)

    assert in_use(on("another")) == OLD
    path = on("another").published()
    assert path is not None
    assert path.name == "materia.duckdb"
    assert read_duckdb(path) == (ROWS, ROWS)
    assert publish_version(on("yet another"), 2) == expected(2)


def test_a_copy_that_somebody_wrote_to_is_not_built_upon(on: Machine) -> None:
    publish_version(on("one"), 1)
    path = on("one").published()
    assert path is not None
    assert path.stat().st_mode & 0o222 == 0
    path.chmod(0o644)
    with duckdb.connect(str(path)) as connection:
        connection.execute("DROP VIEW serving.totals; CREATE TABLE mine AS SELECT 1 AS one")
    database = on("one").checkout()

    assert read_duckdb(database) == (ROWS, ROWS)


def test_a_database_that_reads_more_than_itself_is_not_used(
    s3_server: S3Server, bucket: str, on: Machine, tmp_path: Path
) -> None:
    publish_version(on("one"), 1)
    path = on("one").published()
    assert path is not None
    evil = tmp_path / "materia.duckdb"
    evil.write_bytes(path.read_bytes())
    with duckdb.connect(str(evil)) as connection:
        connection.execute("CREATE VIEW serving.more AS FROM read_text('/etc/passwd')")
    sha256 = hashlib.sha256(evil.read_bytes()).hexdigest()
    name = f"databases/{sha256}/materia.duckdb"
    pointer = {
        **json.loads(s3_server.content(bucket, POINTER)),
        "object": name,
        "sha256": sha256,
        "size": evil.stat().st_size,
    }
    client = s3_server.client()
    client.put_object(Bucket=bucket, Key=f"coffee/{name}", Body=evil.read_bytes())
    client.put_object(Bucket=bucket, Key=POINTER, Body=json.dumps(pointer).encode())

    for use in (on("two").published, on("two").checkout):
        with pytest.raises(
            SinkError, match=r"more reads outside the database: .* delete .*published.json"
        ):
            use()


def test_extract_and_transform_run_on_machines_that_share_nothing_else(
    s3_server: S3Server, bucket: str, workshop: Workshop, tmp_path: Path
) -> None:
    workshop.install("folder", "fakes.folder")
    home = workshop.directory
    (home / "in").mkdir()
    (home / "in/2024-01.csv").write_text("apples,1\npears,2\n")
    keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    config = (
        'source = "folder"\nsink = "s3"\n[sinks.s3]\n'
        f'bucket = "s3://{bucket}/coffee"\nendpoint = "{s3_server.endpoint}"\n'
    )
    (home / "materia.toml").write_text(config)
    first = workshop.run("pipeline", "run", "extract", environment=keys)
    assert first.returncode == 0, first.stderr
    workshop.directory = tmp_path / "another"
    workshop.directory.mkdir()
    (workshop.directory / "materia.toml").write_text(config)
    second = workshop.run("pipeline", "run", "transform", environment=keys)
    assert second.returncode == 0, second.stderr
    workshop.directory = home
    again = workshop.run("run", "--json", environment=keys)
    assert again.returncode == 0, again.stderr
    plain = workshop.run("sinks", environment=keys)

    assert '"published": false' in again.stdout, "the other machine's tables are of these files"
    assert "materia.duckdb" in plain.stdout
    assert SECRET not in f"{first.stderr}{second.stderr}{again.stdout}{plain.stdout}"
    path = machines(s3_server, bucket, tmp_path)("reader").published()
    assert path is not None
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.sql("SELECT name, value FROM serving.fct_line ORDER BY name").fetchall()
    assert rows == [("apples", 1), ("pears", 2)]


def pointer(**changes: object) -> Pointer:
    values: dict[str, object] = {
        "run": "r",
        "fingerprint": "s",
        "published_at": NOW,
        "object": "databases/a/materia.duckdb",
        "sha256": "a",
        "size": 1,
        "tables": (),
    }
    return Pointer(**(values | changes))  # type: ignore[arg-type]


@given(
    st.lists(st.integers(0, 72), min_size=1, max_size=12),
    st.lists(st.integers(-72, 72), max_size=4),
    st.integers(1, 5),
)
def test_no_database_goes_that_may_be_in_use(gaps: list[int], others: list[int], most: int) -> None:
    """Publications with hours between them, and uploads of runs that never swapped."""
    store: dict[str, datetime] = {
        f"databases/other {number}/materia.duckdb": NOW + timedelta(hours=hours)
        for number, hours in enumerate(others)
    }
    now, published = NOW, pointer()
    store[published.object] = NOW
    replaced: dict[str, datetime] = {}
    for number, gap in enumerate(gaps):
        now += timedelta(hours=gap)
        name = f"databases/{number}/materia.duckdb"
        store[name] = now
        before = published.object
        replaced[before] = now
        earlier = history(published, now=now, kept=most)
        published = pointer(object=name, published_at=now, earlier=earlier)
        listed = {key: ListedObject(size=1, etag="e", modified=at) for key, at in store.items()}
        for gone in expendable(published, listed):
            assert store.pop(gone) < now - KEPT_FOR
            assert gone not in list(replaced)[max(0, len(replaced) + 1 - most) :]
            assert gone != name
            assert now - replaced.get(gone, now - KEPT_FOR) >= KEPT_FOR
        kept = set(list(replaced)[: max(0, len(replaced) + 1 - most)]) & set(store)
        assert all(now - replaced[key] < KEPT_FOR or store[key] >= now - KEPT_FOR for key in kept)


def test_databases_that_nobody_reads_any_more_are_deleted(
    s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    on = machines(s3_server, bucket, tmp_path, kept=2)
    for version in (1, 2, 3):
        publish_version(on("one"), version)
    stray = f"coffee/databases/{'0' * 64}/materia.duckdb"
    s3_server.client().put_object(Bucket=bucket, Key=stray, Body=b"of a run that was killed")
    assert len(databases(s3_server, bucket)) == 4
    third = json.loads(s3_server.content(bucket, POINTER))
    s3_server.age(bucket, timedelta(days=2))
    for one in third["earlier"]:
        one["replaced_at"] = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    s3_server.client().put_object(Bucket=bucket, Key=POINTER, Body=json.dumps(third))
    publish_version(on("two"), 4)
    fourth = json.loads(s3_server.content(bucket, POINTER))

    assert databases(s3_server, bucket) == sorted(
        f"coffee/{one['object']}" for one in (third, fourth)
    )


def test_a_store_that_cannot_delete_does_not_undo_a_publication(
    s3_server: S3Server, on: Machine
) -> None:
    with s3_server.failing(Fault(name="list-type", status=403, code="AccessDenied", times=9)):
        assert publish_version(on("one"), 1) == expected(1)

    assert on("two").fingerprint() == "stamp 1"
