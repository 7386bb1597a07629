"""What a machine's shell prints before our program, and answers that are none of ours."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.lying_shell import greet, lie
from fakes.machines import Worker, new_id
from materia.errors import MateriaError, StageError, WorkerLostError
from materia_runner.ssh import program as ssh_program
from materia_runner.ssh.command import RemoteCommand
from materia_runner.ssh.session import Session
from materia_testing.emulation.ssh_machines import sandbox
from materia_testing.emulation.ssh_machines.machine import Kind

pytest_plugins = ["machine_fixtures"]
pytestmark = pytest.mark.skipif(bool(sandbox.why_not()), reason=str(sandbox.why_not()))

CONTENT = hashlib.sha256(b"content").hexdigest()
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def kind() -> Kind:
    """A stand-in has no shell that reads start-up files."""
    return "openssh"


PRINTED = {
    "a line": "echo hello",
    "what looks like a record": "printf 'o 5\\nhello'",
    "half of the mark": "printf 'materia '",
    "a window title": r"printf '\033]0;title\007'",
    "no line end": "printf hello",
    "binary": "head -c 5000 /dev/urandom",
    "many lines": "seq 100000",
    "4 MB in one line": "head -c 4000000 /dev/zero | tr '\\0' x",
    "what it runs": "set -v -x",
    "all that on standard error": "{ head -c 4000000 /dev/zero; set -x; } >&2",
}


@pytest.mark.parametrize("printed", PRINTED.values(), ids=PRINTED)
def test_what_the_shell_prints_before_our_program_is_passed_over(
    worker: Worker, tmp_path: Path, printed: str
) -> None:
    greet(worker, printed)
    (tmp_path / "up").write_bytes(b"content")
    lines: list[str] = []

    with worker.session() as session:
        facts = session.look()
        session.upload(tmp_path / "up", "file", sha256=CONTENT)
        session.download("file", tmp_path / "down")
        end = session.run_command(
            RemoteCommand(id=new_id(), argv=("echo", "done"), limit=MINUTE), lines.append
        )

    assert facts["home"] == "/home/materia"
    assert (tmp_path / "down").read_bytes() == b"content"
    assert (lines, end.status) == (["done"], 0)


def one_sentence(error: pytest.ExceptionInfo[MateriaError]) -> str:
    text = str(error.value)
    assert text.isprintable()
    assert len(text) < 1000
    return text


ENDED = {
    "exit 0": ("worker's shell printed nothing, and did not run materia's program", "exit"),
    "a greeting and the end": ("printed something.*'go away", "echo go away; exit 0"),
    "a refusal": (r"python3 cannot start \(exit code 3\): 'no\\n'", "echo no; exit 3"),
    "no python3": (r"exit code 127.*not found; .*choose another image", "PATH=/nowhere"),
    "endless lines": ("printed more than 1 MiB .*did not run materia's program", "yes"),
    "another shell": ("python3 cannot start|did not run materia's program", "exec cat"),
    "nothing": ("printed for 3 s nothing, and did not run materia's program", "sleep 60"),
}


@pytest.mark.parametrize(("why", "text"), ENDED.values(), ids=ENDED)
def test_a_shell_that_does_not_run_our_program_costs_the_worker_with_a_sentence(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, why: str, text: str
) -> None:
    monkeypatch.setattr(ssh_program, "BEGIN_SECONDS", 3.0)
    monkeypatch.setattr(ssh_program, "PRINTED_AT_MOST", 1 << 20)
    greet(worker, text)

    with (
        worker.session() as session,
        pytest.raises((StageError, WorkerLostError), match=why) as error,
    ):
        session.look()

    one_sentence(error)


RECORDS = {
    "a length below zero": b"r -5\nhello",
    "a huge length": b"r 999999\n",
    "a length without an end": b"r " + b"9" * 5000,
    "a length that is none": b"r 1_0\n" + b"x" * 10,
    "a length in other digits": "r ٣\nabc".encode(),
    "no length": b"r\n",
    "an unknown kind": b"z 2\n{}",
    "a kind of another program": b"o 2\n{}",
    "more than ASCII": "ü 2\n{}".encode(),
    "a line of text": b"Welcome to this machine!\n",
    "no JSON": b"r 4\n\x00\xff\x1b[",
    "deep JSON": b"r 100000\n" + b"[" * 100_000,
    "a list": b"r 2\n[]",
    "nothing": b"r 2\n{}",
    "a long number": b"r 5010\n" + b'{"error":' + b"9" * 5000 + b"}",
    "terminal codes": b'r 28\n{"error":null,"home":"\x1b[2J"}',
}


@pytest.mark.parametrize("sent", RECORDS.values(), ids=RECORDS)
def test_a_record_that_is_none_of_ours_costs_the_worker_with_a_sentence(
    worker: Worker, tmp_path: Path, sent: bytes
) -> None:
    (worker.machine.folder / "home" / "materia" / "sent").write_bytes(sent)
    lie(worker, 'say(open("sent", "rb").read())')
    (tmp_path / "up").write_bytes(b"content")

    def look(session: Session) -> None:
        session.look()

    def download(session: Session) -> None:
        session.download("file", tmp_path / "down")

    def unpack(session: Session) -> None:
        session.upload(tmp_path / "up", "file", sha256="0" * 64, unpack=True)

    def script(session: Session) -> None:
        session.run_command(RemoteCommand(id=new_id(), argv=("true",), limit=MINUTE), print)

    doings: list[Callable[[Session], None]] = [look, download, unpack]
    if not sent.startswith(b"o"):
        doings.append(script)
    with worker.session() as session:
        for doing in doings:
            with pytest.raises(WorkerLostError, match="cannot read what the worker sent") as error:
                doing(session)
            one_sentence(error)

    assert [path.name for path in tmp_path.iterdir()] == ["up"]


ENDS = {
    "a status that is none": b'{"status": "0", "reason": "exited"}',
    "a status beyond any": b'{"status": 100000, "reason": "exited"}',
    "a signal beyond any": b'{"status": -1000, "reason": "exited"}',
    "a reason that is none": b'{"status": 0, "reason": "bored"}',
    "half of it": b'{"status": 0}',
    "another shape": b"[0]",
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_an_end_of_a_script_that_cannot_be_costs_the_worker_with_a_sentence(
    worker: Worker, end: bytes
) -> None:
    lie(worker, f'say(b"o 6\\nhello\\n"); say(b"x {len(end)}\\n" + {end!r})')
    lines: list[str] = []

    with (
        worker.session() as session,
        pytest.raises(WorkerLostError, match="cannot read what the worker sent"),
    ):
        session.run_command(RemoteCommand(id=new_id(), argv=("true",), limit=MINUTE), lines.append)

    assert lines in ([], ["hello"])


def test_noise_between_the_records_of_a_script_costs_the_worker_with_a_sentence(
    worker: Worker,
) -> None:
    greet(worker, "{ sleep 1; echo 'disk is nearly full'; } &")

    with worker.session() as session, pytest.raises(WorkerLostError) as error:
        session.run_command(RemoteCommand(id=new_id(), argv=("sleep", "2"), limit=MINUTE), print)

    assert "begins with 'disk is nearly full" in one_sentence(error)


@pytest.mark.parametrize("size", [1 << 49, 1 << 60, -1, 0.5, True, None, "3"])
def test_a_file_of_a_size_that_cannot_be_fills_no_disk(
    worker: Worker, tmp_path: Path, size: object
) -> None:
    lie(
        worker,
        f"""
        import json
        text = json.dumps(dict(bytes={size!r}, begin=0)).encode()
        say(b"s %d\\n%b" % (len(text), text))
        say(b"x" * 100_000)
        """,
    )

    with (
        worker.session() as session,
        pytest.raises(
            (WorkerLostError, StageError), match=r"cannot read what the worker sent|No space left"
        ),
    ):
        session.download("file", tmp_path / "down")

    assert list(tmp_path.iterdir()) == []


def test_a_script_that_sends_more_than_it_was_asked_for_fills_no_memory(worker: Worker) -> None:
    lie(worker, 'while True: say(b"o 65536\\n" + b"x" * 65536)')

    def slow(_: str) -> None:
        waiting.wait(0.5)

    waiting = threading.Event()
    with worker.session() as session, pytest.raises(WorkerLostError, match="sends more output of"):
        session.run_command(RemoteCommand(id=new_id(), argv=("true",), limit=MINUTE), slow)


def test_a_worker_that_answers_nothing_is_given_up(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("materia_runner.ssh.transfer.LEAST_SECONDS", 2.0)
    (tmp_path / "up").write_bytes(b"content" * 1000)
    lie(worker, "")

    with worker.session() as session:
        with pytest.raises(WorkerLostError, match=r"copying up takes too long"):
            session.upload(tmp_path / "up", "file", sha256=CONTENT)
        with pytest.raises(WorkerLostError, match=r"looking at it takes too long"):
            session.look()
