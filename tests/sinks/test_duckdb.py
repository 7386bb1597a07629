"""What only the duckdb sink does: files by name, foreign databases, locks of others, full disks."""

import hashlib
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from fakes.duckdb_runs import publish_quickly, record_quickly, write_and_wait
from materia.errors import BusyError, SinkError
from materia.model import Partition, PublishRequest, Unchanged
from materia.testing.crash import Elsewhere, elsewhere
from materia.testing.opened import Declared
from materia.testing.sink_publish import ROWS, build, expected, publish_version, request
from materia.testing.sink_raw import JANUARY, OLD, SOURCE, fetched, refused
from materia_duckdb.opening import opened
from materia_duckdb.sink import DuckDBSink

OLD_HASH = hashlib.sha256(OLD).hexdigest()[:16]
BAD_HASH = hashlib.sha256(b"<html>").hexdigest()[:16]
HOLD = (
    "import sys, duckdb\n"
    "connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == 'reading')\n"
    "print('open', flush=True)\n"
    "sys.stdin.read()\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "project"


@pytest.fixture
def sink(folder: Path) -> DuckDBSink:
    return open_in(folder)


def open_in(folder: Path) -> DuckDBSink:
    return DuckDBSink(database=folder / "materia.duckdb", raw=folder / "raw")


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@contextmanager
def another_program(path: Path, doing: str) -> Iterator[subprocess.Popen[str]]:
    """A program that has the database open until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), doing],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.stdin.close()


def test_opening_it_makes_nothing_and_does_not_import_duckdb(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from materia.testing.opened import Declared\n"
        "sink = Declared(kind='sink', module='materia_duckdb', name='duckdb',"
        " directory=Path(sys.argv[1])).open()\n"
        "assert sink.known('acme') == {}\n"
        "assert sink.stamp() is None\n"
        "assert not {'duckdb', 'sqlmesh'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)

    assert files(tmp_path) == []


def test_files_lie_where_the_readme_says(sink: DuckDBSink, folder: Path, tmp_path: Path) -> None:
    sink.record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    sink.record(SOURCE, JANUARY, refused(tmp_path / "in", b"<html>"))
    publish_version(sink, 1)

    assert files(folder) == [
        ".materia.duckdb.work/lock",
        "materia.duckdb",
        "raw/acme/2026-01/known.json",
        f"raw/acme/2026-01/prices.{OLD_HASH}.zip",
        f"raw/acme/2026-01/quarantine/prices.{BAD_HASH}.zip",
        f"raw/acme/2026-01/quarantine/prices.{BAD_HASH}.zip.reason",
    ]
    reason = folder / f"raw/acme/2026-01/quarantine/prices.{BAD_HASH}.zip.reason"
    assert reason.read_text() == "is not a zip archive\n"


def test_a_file_that_could_not_be_loaded_lies_in_quarantine_with_its_reason(
    sink: DuckDBSink, folder: Path, tmp_path: Path
) -> None:
    result = fetched(tmp_path / "in", JANUARY, OLD)
    sink.record(SOURCE, JANUARY, result)
    sink.refuse(SOURCE, result.raw, "has the wrong columns")
    aside = folder / f"raw/acme/2026-01/quarantine/prices.{OLD_HASH}.zip"

    assert aside.read_bytes() == OLD
    assert Path(f"{aside}.reason").read_text() == "has the wrong columns\n"
    assert not (folder / f"raw/acme/2026-01/prices.{OLD_HASH}.zip").exists()


def test_a_file_removed_by_hand_comes_again_when_it_is_asked_for(
    sink: DuckDBSink, folder: Path, tmp_path: Path
) -> None:
    result = fetched(tmp_path / "in", JANUARY, OLD)
    sink.record(SOURCE, JANUARY, result)
    next(folder.glob("raw/acme/2026-01/*.zip")).unlink()
    known = sink.known(SOURCE)[JANUARY.key]

    assert (known.raw, known.etag, known.last_modified) == (result.raw, None, None)
    sink.refuse(SOURCE, result.raw, "the raw file is not kept any more")
    assert JANUARY.key not in sink.known(SOURCE), "it would never be fetched again"


def test_a_file_damaged_on_the_disk_comes_again_and_is_not_blamed_on_its_source(
    sink: DuckDBSink, folder: Path, tmp_path: Path
) -> None:
    first = fetched(tmp_path / "in", JANUARY, OLD)
    sink.record(SOURCE, JANUARY, first)
    second = fetched(tmp_path / "in", JANUARY, OLD * 2)
    sink.record(SOURCE, JANUARY, second)
    kept = sink.find_raw(SOURCE, JANUARY.key, second.raw.file, second.raw.sha256)
    assert kept is not None
    kept.write_bytes(OLD[:-1])
    sink.refuse(SOURCE, second.raw, "is cut short or damaged")
    known = sink.known(SOURCE)[JANUARY.key]

    assert (known.raw, known.etag, known.refused) == (first.raw, None, None)
    assert not kept.exists()
    assert not list(folder.rglob("quarantine/*"))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"files": []}', "\x00" * 200])
def test_a_damaged_memory_is_named_with_what_to_do(
    sink: DuckDBSink, folder: Path, tmp_path: Path, content: str
) -> None:
    sink.record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    path = folder / "raw/acme/2026-01/known.json"
    path.write_text(content)
    for ask in (
        lambda: sink.known(SOURCE),
        lambda: sink.record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD)),
    ):
        with pytest.raises(SinkError, match=rf"{path}: is damaged .*delete it"):
            ask()
    path.unlink()
    sink.record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))

    assert set(sink.known(SOURCE)) == {JANUARY.key}


def test_what_is_known_of_229_partitions_is_read_in_a_moment(
    sink: DuckDBSink, tmp_path: Path
) -> None:
    for number in range(229):
        one = Partition(key=f"{number:03}", url="https://acme.example", file="prices.zip")
        sink.record(SOURCE, one, fetched(tmp_path / "in", one, OLD))
    started = time.process_time()
    known = sink.known(SOURCE)
    seconds = time.process_time() - started

    assert len(known) == 229
    assert seconds < 0.2, "about 0.01 s was measured"


def test_a_killed_record_leaves_no_part_behind_after_the_next_one(
    sink: DuckDBSink, folder: Path, tmp_path: Path
) -> None:
    sink.record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    part = folder / f"raw/acme/2026-01/known.json.{dead}.part"
    part.write_text("{")
    mine = part.with_name(f"known.json.{os.getppid()}.part")
    mine.write_text("{")
    sink.record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))

    assert not part.exists()
    assert mine.exists(), "its process is still at work"


def test_a_folder_that_cannot_be_written_is_named(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (folder / "raw").write_text("not a folder")
    with pytest.raises(SinkError, match="raw"):
        open_in(folder).record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))


def not_duckdb(path: Path) -> None:
    path.write_bytes(b"item,price\nnails,1\n" * 1000)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_short(path: Path) -> None:
    publish_version(open_in(path.parent), 1)
    os.truncate(path, 20_000)


def somebody_elses(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE diary (line TEXT)")


def of_a_later_duckdb(path: Path) -> None:
    """Storage version 999, with the checksum of its block made right again."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE diary (line TEXT)")
    block = bytearray(path.read_bytes())
    assert checksum(bytes(block[8:4096])) == struct.unpack_from("<Q", block)[0]
    struct.pack_into("<Q", block, 12, 999)
    struct.pack_into("<Q", block, 0, checksum(bytes(block[8:4096])))
    path.write_bytes(block)


def checksum(block: bytes) -> int:
    """DuckDB's own, storage/checksum.cpp: every 8 bytes times a constant, all of them xored."""
    result = 5381
    whole = len(block) // 8 * 8
    for (word,) in struct.iter_unpack("<Q", block[:whole]):
        result ^= word * 0xBF58476D1CE4E5B9 % 2**64
    assert whole == len(block)
    return result


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (not_duckdb, "not a valid DuckDB database file"),
        (empty, "not a valid DuckDB database file"),
        (cut_short, "Could not read enough bytes"),
        (somebody_elses, "materia did not make"),
        (of_a_later_duckdb, "can only read versions between"),
        (a_folder, "is a folder"),
    ],
)
def test_a_database_that_is_not_ours_is_told_and_never_touched(
    folder: Path, make: object, words: str
) -> None:
    folder.mkdir()
    path = folder / "materia.duckdb"
    assert callable(make)
    make(path)
    before = None if path.is_dir() else path.read_bytes()
    sink = open_in(folder)
    working_copy = folder / ".materia.duckdb.work/materia.duckdb"
    for ask in (
        sink.stamp,
        sink.published,
        sink.checkout,
        lambda: sink.publish(request("run", working_copy, 1)),
    ):
        with pytest.raises(SinkError, match=words) as raised:
            ask()
        assert str(raised.value).startswith(str(path))
        assert "sinks.duckdb.path" in str(raised.value)
        assert "\n" not in str(raised.value)

    assert path.is_dir() or path.read_bytes() == before


def test_an_empty_database_is_nothing_to_protect(folder: Path, sink: DuckDBSink) -> None:
    """`duckdb materia.duckdb` before the first run makes one."""
    folder.mkdir()
    duckdb.connect(str(folder / "materia.duckdb")).close()

    assert sink.stamp() is None
    assert publish_version(sink, 1) == expected(1)


def test_a_deleted_database_is_nothing_published(folder: Path, sink: DuckDBSink) -> None:
    publish_version(sink, 1)
    (folder / "materia.duckdb").unlink()
    (folder / "materia.duckdb.wal").write_bytes(b"a log of something that is gone")

    assert sink.stamp() is None
    assert sink.published() is None
    assert publish_version(sink, 2) == expected(2)


@pytest.mark.parametrize("step", ["stamp", "checkout", "publish"])
def test_a_program_that_writes_to_it_is_named(folder: Path, sink: DuckDBSink, step: str) -> None:
    publish_version(sink, 1)
    database = sink.checkout()
    build(database, 2)
    path = folder / "materia.duckdb"
    before = path.read_bytes()
    steps: dict[str, Callable[[], object]] = {
        "stamp": sink.stamp,
        "checkout": sink.checkout,
        "publish": lambda: sink.publish(request("run 2", database, 2)),
    }
    with another_program(path, "writing") as program:
        with pytest.raises(BusyError) as raised:
            steps[step]()
        message = str(raised.value)

    assert message.startswith(f"{path}: is open in python")
    assert f"(PID {program.pid})" in message
    assert path.read_bytes() == before
    assert tuple(sink.publish(request("run 2", database, 2))) == expected(2)


def test_a_program_that_reads_it_keeps_its_state_and_hinders_nobody(
    folder: Path, sink: DuckDBSink
) -> None:
    publish_version(sink, 1)
    with another_program(folder / "materia.duckdb", "reading"):
        assert publish_version(sink, 2) == expected(2)
    reader = duckdb.connect(str(folder / "materia.duckdb"), read_only=True)
    publish_version(open_in(folder), 3)

    assert reader.execute("SELECT count(*) FROM serving.prices").fetchone() == (2 * ROWS,)
    reader.close()
    with duckdb.connect(str(folder / "materia.duckdb"), read_only=True) as reader:
        assert reader.execute("SELECT count(*) FROM serving.prices").fetchone() == (3 * ROWS,)


def test_what_somebody_wrote_since_checkout_is_not_lost(folder: Path, sink: DuckDBSink) -> None:
    publish_version(sink, 1)
    database = sink.checkout()
    build(database, 2)
    with duckdb.connect(str(folder / "materia.duckdb")) as connection:
        connection.execute("CREATE TABLE note AS SELECT 'mine' AS text")
    with pytest.raises(BusyError, match="somebody changed it since this run began"):
        sink.publish(request("run 2", database, 2))
    assert sink.stamp() == "stamp 1"
    assert publish_version(sink, 2) == expected(2)

    with duckdb.connect(str(folder / "materia.duckdb"), read_only=True) as connection:
        assert connection.execute("FROM note").fetchall() == [("mine",)]


def test_what_a_killed_writer_left_in_the_log_is_not_lost(folder: Path, sink: DuckDBSink) -> None:
    publish_version(sink, 1)
    running = Elsewhere(write_and_wait, folder / "materia.duckdb")
    assert running.receive() == "written"
    running.kill()
    assert (folder / "materia.duckdb.wal").exists()
    publish_version(sink, 2)

    assert not (folder / "materia.duckdb.wal").exists()
    with duckdb.connect(str(folder / "materia.duckdb"), read_only=True) as connection:
        assert connection.execute("FROM note").fetchall() == [("mine",)]


def test_a_working_copy_of_another_state_is_not_continued(
    folder: Path, sink: DuckDBSink, tmp_path: Path
) -> None:
    publish_version(sink, 1)
    backup = tmp_path / "backup.duckdb"
    shutil.copyfile(folder / "materia.duckdb", backup)
    publish_version(sink, 2)
    build(open_in(folder).checkout(), 3)
    shutil.copyfile(backup, folder / "materia.duckdb")
    database = open_in(folder).checkout()

    with duckdb.connect(str(database)) as connection:
        assert connection.execute("SELECT count(*) FROM serving.prices").fetchone() == (ROWS,)


def test_a_damaged_working_copy_is_made_anew(folder: Path, sink: DuckDBSink) -> None:
    publish_version(sink, 1)
    database = open_in(folder).checkout()
    database.write_bytes(b"torn")
    again = open_in(folder)

    assert again.checkout() == database
    with duckdb.connect(str(database)) as connection:
        assert connection.execute("SELECT count(*) FROM serving.prices").fetchone() == (ROWS,)


def test_a_database_left_open_is_not_published(sink: DuckDBSink) -> None:
    publish_version(sink, 1)
    database = sink.checkout()
    build(database, 2)
    with (
        duckdb.connect(str(database)),
        pytest.raises(BusyError, match=f"still open in this process \\(PID {os.getpid()}\\)"),
    ):
        sink.publish(request("run 2", database, 2))

    assert sink.stamp() == "stamp 1"
    assert tuple(sink.publish(request("run 2", database, 2))) == expected(2)


def test_only_the_working_copy_can_be_published(
    folder: Path, sink: DuckDBSink, tmp_path: Path
) -> None:
    sink.checkout()
    build(tmp_path / "other.duckdb", 1)
    with pytest.raises(SinkError, match="is not the working copy"):
        sink.publish(request("run 1", tmp_path / "other.duckdb", 1))

    assert not (folder / "materia.duckdb").exists()


@pytest.mark.parametrize("name", ["my prices", "memory", "temp", "a.b"])
def test_views_that_name_their_database_still_work_when_published(folder: Path, name: str) -> None:
    sink = DuckDBSink(database=folder / f"{name}.duckdb", raw=folder / "raw")
    database = sink.checkout()
    with duckdb.connect(str(database)) as connection:
        (own,) = connection.execute("SELECT current_database()").fetchall()[0]
        connection.execute("CREATE SCHEMA serving; CREATE TABLE serving.one AS SELECT 1 AS x")
        connection.execute(f'CREATE VIEW serving.two AS FROM "{own}".serving.one')
    tables = ("serving.one", "serving.two")
    sink.publish(PublishRequest(run="r", database=database, tables=tables, stamp="s"))

    with duckdb.connect(str(folder / f"{name}.duckdb"), read_only=True) as connection:
        assert connection.execute("FROM serving.two").fetchall() == [(1,)]


def test_two_databases_of_one_name_can_be_open_at_once(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "materia.duckdb" for folder in "ab"]
    for path in paths:
        path.parent.mkdir()
        with opened(path, read_only=False) as connection:
            connection.execute(f"CREATE TABLE folder AS SELECT '{path.parent.name}' AS name")

    with opened(paths[0], read_only=True) as a, opened(paths[1], read_only=True) as b:
        assert a.execute("FROM folder").fetchall() == [("a",)]
        assert b.execute("FROM folder").fetchall() == [("b",)]


def test_an_error_while_it_is_open_leaves_nothing_open(tmp_path: Path) -> None:
    path = tmp_path / "materia.duckdb"
    with pytest.raises(SinkError, match="not found"), opened(path, read_only=False) as connection:
        connection.execute("BEGIN; CREATE TABLE kept_not AS SELECT 1; SELECT no such")

    with duckdb.connect(str(path)) as connection:
        assert connection.execute("SHOW TABLES").fetchall() == []


def test_the_published_file_keeps_its_permissions_and_a_link_stays_a_link(
    tmp_path: Path,
) -> None:
    real, project = tmp_path / "big disk", tmp_path / "project"
    real.mkdir()
    project.mkdir()
    (project / "materia.duckdb").symlink_to(real / "store.duckdb")
    publish_version(open_in(project), 1)
    (real / "store.duckdb").chmod(0o640)
    publish_version(open_in(project), 2)

    assert (project / "materia.duckdb").is_symlink()
    assert (real / "store.duckdb").stat().st_mode & 0o777 == 0o640
    assert open_in(project).stamp() == "stamp 2"
    assert files(project) == ["materia.duckdb"]


def test_the_database_says_itself_what_it_is(folder: Path, sink: DuckDBSink) -> None:
    publish_version(sink, 1)
    with duckdb.connect(str(folder / "materia.duckdb"), read_only=True) as connection:
        run = connection.execute("SELECT run, stamp FROM publication.run").fetchall()
        tables = connection.execute("SELECT name, rows FROM publication.tables").fetchall()

    assert run == [("run 1", "stamp 1")]
    assert tables == [("serving.prices", ROWS), ("serving.totals", 1)]


def test_no_more_disk_is_used_than_published_and_working_copy_together(
    folder: Path, sink: DuckDBSink
) -> None:
    def used() -> int:
        return sum(path.stat().st_size for path in folder.rglob("*.duckdb*") if path.is_file())

    sizes: list[int] = []
    for version in range(200, 206):
        build(sink.checkout(), version)
        published = (folder / "materia.duckdb").stat().st_size if sizes else 0
        copy = (folder / ".materia.duckdb.work/materia.duckdb").stat().st_size
        assert used() == published + copy
        publish_version(sink, version)
        sizes.append(used())

    assert sizes[-1] == sizes[1], "space that is free again is used again"


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[None]:
    path.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None or os.geteuid() != 0:
        pytest.skip("a small disk needs root, and the program mount")
    mounted = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be had: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run([umount, str(path)], check=True)


def test_a_disk_that_is_really_full_harms_nothing_and_a_larger_one_completes(
    folder: Path, tmp_path: Path
) -> None:
    declared = Declared(kind="sink", module="materia_duckdb", name="duckdb", directory=folder)
    with small_disk(folder, "16m"):
        assert elsewhere(publish_quickly, declared, 1).value == expected(1)
        before = (folder / "materia.duckdb").read_bytes()
        told = []
        for room in (0, 100_000, 400_000):
            filler = folder / "filler"
            free = os.statvfs(folder)
            filler.write_bytes(b"x" * max(0, free.f_bavail * free.f_frsize - room))
            shutil.rmtree(tmp_path / "in", ignore_errors=True)
            result = fetched(tmp_path / "in", JANUARY, os.urandom(3_000_000))
            for ending in (
                elsewhere(publish_quickly, declared, 200),
                elsewhere(record_quickly, declared, result),
            ):
                told.append(ending.error)
                assert isinstance(ending.error, SinkError), ending
            assert (folder / "materia.duckdb").read_bytes() == before
            assert not list(folder.rglob("*.part"))
            assert dict(open_in(folder).known(SOURCE)) == {}
            filler.unlink()
        assert any("No space left on device" in str(error) for error in told)

        assert elsewhere(publish_quickly, declared, 200).value == expected(200)
        elsewhere(record_quickly, declared, fetched(tmp_path / "in", JANUARY, OLD))
        assert set(open_in(folder).known(SOURCE)) == {JANUARY.key}
        assert not list(folder.rglob("*.part"))


def test_that_nothing_changed_is_written_once_a_day(
    sink: DuckDBSink, folder: Path, tmp_path: Path
) -> None:
    sink.record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    [state] = folder.rglob("known.json")
    before, written = sink.known(SOURCE), state.stat().st_ino

    known = before[JANUARY.key]
    sink.record(SOURCE, JANUARY, Unchanged(etag=known.etag, last_modified=known.last_modified))
    assert (sink.known(SOURCE), state.stat().st_ino) == (before, written)

    sink.record(SOURCE, JANUARY, Unchanged(etag='"new"', last_modified=known.last_modified))
    assert sink.known(SOURCE)[JANUARY.key].etag == '"new"'
