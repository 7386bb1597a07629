"""Databases that are not ours, and other programs that have ours open or changed it."""

import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from fakes.duckdb_runs import open_in, write_and_wait
from materia.errors import BusyError, SinkError
from materia_duckdb.sink import DuckDBSink
from materia_testing.contracts.crash import Elsewhere
from materia_testing.contracts.sinks.publish import ROWS, build, expected, publish_version, request

HOLD = (
    "import sys, duckdb\n"
    "connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == 'reading')\n"
    "print('open', flush=True)\n"
    "sys.stdin.read()\n"
)


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
        (a_folder, "is a folder, not a database"),
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
        sink.fingerprint,
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


@pytest.mark.parametrize("step", ["fingerprint", "checkout", "publish"])
def test_a_program_that_writes_to_it_is_named(folder: Path, sink: DuckDBSink, step: str) -> None:
    publish_version(sink, 1)
    database = sink.checkout()
    build(database, 2)
    path = folder / "materia.duckdb"
    before = path.read_bytes()
    steps: dict[str, Callable[[], object]] = {
        "fingerprint": sink.fingerprint,
        "checkout": sink.checkout,
        "publish": lambda: sink.publish(request("run 2", database, 2)),
    }
    with another_program(path, "writing") as program:
        with pytest.raises(BusyError) as raised:
            steps[step]()
        message = str(raised.value)

    assert message.startswith(f"{path}: the database is open in python")
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
    with pytest.raises(BusyError, match="another program changed it since this run began"):
        sink.publish(request("run 2", database, 2))
    assert sink.fingerprint() == "stamp 1"
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
