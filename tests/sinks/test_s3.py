"""What only the s3 sink does: swaps in a bucket, copies that are checked, objects that go."""

import json
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from fakes.s3 import KEY, SECRET, Fault, S3Server
from fakes.s3_runs import Machine, address, machines
from fakes.workshop import Workshop
from hypothesis import given
from hypothesis import strategies as st
from materia.errors import BusyError, ConfigError, PluginError, SinkError
from materia.model import Absent, Known, Unchanged
from materia.plugins import load_plugins
from materia.testing.sink_publish import (
    ROWS,
    build,
    expected,
    publish_version,
    read_duckdb,
    request,
)
from materia.testing.sink_raw import JANUARY, OLD, SOURCE, fetched, in_use, refused
from materia_s3.address import Address
from materia_s3.objects import PART, Found
from materia_s3.pointer import KEPT_FOR, Pointer, expendable, history

POINTER = "coffee/published.json"
WORD = "coffee/raw/acme/2026-01/known.json"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    return s3_server.new_bucket()


@pytest.fixture
def on(s3_server: S3Server, bucket: str, tmp_path: Path) -> Machine:
    return machines(s3_server, bucket, tmp_path)


def databases(server: S3Server, bucket: str) -> list[str]:
    return [name for name in server.names(bucket) if "/databases/" in name]


def test_declaring_it_imports_no_client_and_opening_it_asks_nobody(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from materia.testing.opened import Declared\n"
        "import materia_s3\n"
        "materia_s3.materia_sinks()\n"
        "assert 'obstore' not in sys.modules\n"
        "Declared(kind='sink', module='materia_s3', name='s3', directory=Path(sys.argv[1]),"
        " settings={'bucket': 's3://acme'},"
        " secrets={'AWS_ACCESS_KEY_ID': 'a', 'AWS_SECRET_ACCESS_KEY': 'b'}).open()\n"
        "assert not {'duckdb', 'sqlmesh'} & set(sys.modules)\n"
        "assert list(Path(sys.argv[1]).iterdir()) == []\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("bucket", None, 'bucket is not set; it must be an address like "s3://bucket/prefix"'),
        ("bucket", "acme", "bucket must be an address like"),
        ("bucket", "s3://Acme", "bucket must be an address like"),
        ("bucket", "s3://acme/../x", "bucket must be an address like"),
        ("bucket", "s3://acme/a//b", "bucket must be without two slashes"),
        ("endpoint", "s3.example.com", "endpoint must be an address like"),
        ("endpoint", "https://key:word@s3.example.com", "endpoint must be an address like"),
        ("endpoint", "https://r2.example.com/acme", '"https://r2.example.com" alone'),
        ("region", "", "region is not set"),
    ],
)
def test_a_setting_that_is_no_use_is_told(setting: str, value: str | None, told: str) -> None:
    settings = {"bucket": "s3://acme/x", "endpoint": None, "region": "auto", setting: value}
    with pytest.raises(ConfigError) as caught:
        Address.of_settings(settings)

    assert told in str(caught.value)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize("url", ["s3://acme", "s3://acme/", "s3://acme/a/b/"])
def test_a_prefix_may_be_empty_or_deep(url: str) -> None:
    found = Address.of_settings({"bucket": url, "endpoint": None, "region": "auto"})

    assert found.url("x") == f"{url.rstrip('/')}/x"


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
    on("one").record(SOURCE, months[2], Absent())
    count = len(s3_server.requests)
    known = sink.known(SOURCE)
    asked = s3_server.since(count)

    assert len(asked) == 2, "a listing, and the one that changed"
    assert asked[1].endswith("/2026-03/known.json")
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
    assert on("reader").stamp() == f"stamp {winner}"
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

    assert on("reader").stamp() == "stamp 1"


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
    with pytest.raises(BusyError, match="what was published was removed since this run began"):
        sink.publish(request("run 2", database, 2))

    assert on("three").stamp() is None
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


def test_large_files_come_and_go_in_parts(s3_server: S3Server, on: Machine, tmp_path: Path) -> None:
    content = bytes(range(251)) * ((2 * PART + 12345) // 251)
    count = len(s3_server.requests)
    on("one").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, content))

    assert [one for one in s3_server.since(count) if "partNumber=3" in one]
    assert in_use(on("two")) == content
    count = len(s3_server.requests)
    on("three").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, content))
    assert not [one for one in s3_server.since(count) if "partNumber" in one]


def test_variables_that_were_not_declared_change_nothing(
    s3_server: S3Server, on: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_SESSION_TOKEN": "of another account",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "another",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
    }.items():
        monkeypatch.setenv(name, value)
    publish_version(on("one"), 1)

    assert on("one").stamp() == "stamp 1"
    assert s3_server.tokens == set()


def test_no_secret_is_left_anywhere(
    s3_server: S3Server, bucket: str, on: Machine, tmp_path: Path
) -> None:
    on("one").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    on("one").record(SOURCE, JANUARY, refused(tmp_path / "in", b"<html>"))
    publish_version(on("one"), 1)
    here = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    there = [s3_server.content(bucket, name) for name in s3_server.names(bucket)]

    assert len(here) >= 3
    assert len(there) >= 7
    for secret in (KEY, SECRET):
        assert not [1 for content in (*here, *there) if secret.encode() in content]
        assert secret not in repr(vars(on("one")))


def pointer(**changes: object) -> Pointer:
    values: dict[str, object] = {
        "run": "r",
        "stamp": "s",
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
)
def test_no_database_goes_that_may_be_in_use(gaps: list[int], others: list[int]) -> None:
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
        published = pointer(object=name, published_at=now, earlier=history(published, now=now))
        listed = {key: Found(size=1, etag="e", modified=at) for key, at in store.items()}
        for gone in expendable(published, listed):
            assert store.pop(gone) < now - KEPT_FOR
            assert gone not in {name, before}
            assert now - replaced.get(gone, now - KEPT_FOR) >= KEPT_FOR
        kept = {key for key in store if key in replaced and key != before}
        assert all(now - replaced[key] < KEPT_FOR or store[key] >= now - KEPT_FOR for key in kept)


def test_databases_that_nobody_reads_any_more_are_deleted(
    s3_server: S3Server, bucket: str, on: Machine
) -> None:
    for version in (1, 2, 3):
        publish_version(on("one"), version)
    stray = "coffee/databases/0000/materia.duckdb"
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

    assert on("two").stamp() == "stamp 1"


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


def test_its_address_has_a_cache_of_its_own(s3_server: S3Server) -> None:
    one = address(s3_server, "acme")
    others = (replace(one, prefix="tea"), replace(one, bucket="acme2"), replace(one, endpoint=None))

    assert len({one.folder, *(other.folder for other in others)}) == 4


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


def test_without_its_package_the_command_to_get_it_is_told() -> None:
    with pytest.raises(PluginError, match=r"unknown sink 's3'.* uv sync --extra s3"):
        load_plugins([]).sink("s3")
