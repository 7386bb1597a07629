"""Killed at any request, before the store does it: a re-run equals a clean run.

Killed after it is the same as killed before the next one.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.s3 import KEY, SECRET, Fault, S3Server
from fakes.s3_runs import machines
from fakes.s3_told import publish_when_told, record_when_told, roll_back_when_told
from materia_testing.contracts.crash import Elsewhere
from materia_testing.contracts.opened import Declared
from materia_testing.contracts.sinks.publish import (
    ROWS,
    build,
    expected,
    publish_version,
    read_duckdb,
)
from materia_testing.contracts.sinks.raw import JANUARY, NEW, OLD, SOURCE, fetched, in_use


@pytest.fixture
def declared(s3_server: S3Server, bucket: str, tmp_path: Path) -> Declared:
    return Declared(
        kind="sink",
        module="materia_s3",
        name="s3",
        directory=tmp_path,
        settings={"bucket": f"s3://{bucket}/coffee", "endpoint": s3_server.endpoint},
        secrets={"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET},
    )


def kill_at(
    server: S3Server,
    number: int,
    *,
    function: Callable[..., None],
    arguments: tuple[object, ...],
) -> bool:
    """Kill *function* in its request of that number, from 0; whether it came that far."""
    running = Elsewhere(function, *arguments)
    pid = running.receive()
    assert isinstance(pid, int)
    fault = Fault(skip=number, act=lambda: os.kill(pid, signal.SIGKILL), drop=True)
    with server.failing(fault):
        running.go_on()
        ending = running.ending()
    assert ending.killed == bool(fault.happened)
    assert ending.error is None
    return ending.killed


def test_killed_at_any_request_of_recording(
    s3_server: S3Server, bucket: str, declared: Declared, tmp_path: Path
) -> None:
    on = machines(s3_server, bucket, tmp_path)
    seen = set()
    for number in range(20):
        on("home").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
        new = fetched(tmp_path / "in", JANUARY, NEW, etag='"2"')
        killed = kill_at(s3_server, number, function=record_when_told, arguments=(declared, new))
        found = in_use(on(f"reader {number}"))
        seen.add(found)

        assert found in {OLD, NEW}
        on("next").record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, NEW, etag='"2"'))
        assert in_use(on("home")) == NEW
        if not killed:
            break
    else:
        pytest.fail("it never came to its end")

    assert number >= 4
    assert seen == {OLD, NEW}
    raw = [name for name in s3_server.names(bucket) if "/raw/" in name]
    assert len(raw) == 4, raw


def test_killed_at_any_request_of_publishing(
    s3_server: S3Server, bucket: str, declared: Declared, tmp_path: Path
) -> None:
    on = machines(s3_server, bucket, tmp_path)
    publish_version(on("home"), 1)
    now, seen = 1, set()
    for number in range(20):
        build(declared.open().checkout(), now + 1)
        killed = kill_at(
            s3_server,
            number,
            function=publish_when_told,
            arguments=(declared, now + 1),
        )
        reader = on("reader")
        path = reader.published()
        assert path is not None
        found = read_duckdb(path)[0] // ROWS
        seen.add(found == now)

        assert found in {now, now + 1}
        assert reader.fingerprint() == f"stamp {found}"
        now += 2
        assert publish_version(on(f"machine {number}"), now) == expected(now)
        assert declared.open().fingerprint() == f"stamp {now}"
        if not killed:
            break
    else:
        pytest.fail("it never came to its end")

    assert number >= 5
    assert seen == {True, False}


def test_killed_at_any_request_of_a_rollback(
    s3_server: S3Server, bucket: str, declared: Declared, tmp_path: Path
) -> None:
    on = machines(s3_server, bucket, tmp_path)
    publish_version(on("home"), 1)
    publish_version(on("home"), 2)
    seen = set()
    for number in range(20):
        arguments = (declared, "run 1", f"back {number}")
        killed = kill_at(s3_server, number, function=roll_back_when_told, arguments=arguments)
        reader = on("reader")
        path = reader.published()
        assert path is not None
        found = read_duckdb(path)[0] // ROWS
        seen.add(found)

        assert found in {1, 2}
        assert reader.fingerprint() == "stamp 2", "a run that finds nothing new does nothing"
        assert [one.run for one in reader.publications()].count(f"back {number}") == (found == 1)
        if not killed:
            break
        on("next").roll_back("run 2", run=f"forward {number}")
        path = on("reader").published()
        assert path is not None
        assert read_duckdb(path)[0] // ROWS == 2
    else:
        pytest.fail("it never came to its end")

    assert number >= 2
    assert seen == {1, 2}
    publish_version(on("home"), 3)
    assert on("reader").fingerprint() == "stamp 3"
