"""Scripts over SSH that are ended: at their limit, by a signal, or because nobody listens."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable

import pytest
from fakes.machines import Worker, lives
from fakes.scripts import SECOND, During, a_script, eventually, python, run, runs
from materia.errors import WorkerLostError
from materia_runner.ssh.session import Session

pytest_plugins = ["machine_fixtures"]


def test_a_hung_script_is_ended_at_its_limit(session: Session, worker: Worker) -> None:
    started = time.monotonic()

    end = session.run_command(a_script("sleep", "801", limit=SECOND), print)

    assert (end.status, end.reason, end.ok) == (-signal.SIGTERM, "limit", False)
    assert 1 <= time.monotonic() - started < 60
    assert not runs(worker, "801")


def test_a_script_that_will_not_end_is_killed_with_all_it_started(
    session: Session, worker: Worker
) -> None:
    stubborn = "trap '' TERM; (setsid sleep 802 &) ; while :; do sleep 0.1; done"

    end = session.run_command(a_script("sh", "-c", stubborn, limit=SECOND, grace=SECOND), print)

    assert (end.status, end.reason) == (-signal.SIGKILL, "limit")
    assert not runs(worker, "802")


def test_what_a_script_leaves_behind_ends_with_it(session: Session, worker: Worker) -> None:
    started = time.monotonic()

    end = session.run_command(a_script("sh", "-c", "setsid sleep 803 & echo left"), print)

    assert end.ok
    assert time.monotonic() - started < 60
    assert not runs(worker, "803")


def test_an_exception_of_the_listener_ends_the_script_first(
    session: Session, worker: Worker
) -> None:
    def refuse(line: str) -> None:
        raise KeyError(line)

    with pytest.raises(KeyError, match="begun"):
        session.run_command(a_script("sh", "-c", "echo begun; sleep 804"), refuse)

    assert not runs(worker, "804")


def test_a_signal_ends_the_script_before_the_exception_is_seen(
    session: Session, worker: Worker
) -> None:
    class StopError(BaseException):
        pass

    def stop(_number: int, _frame: object) -> None:
        raise StopError

    before = signal.signal(signal.SIGUSR2, stop)
    try:
        me = threading.main_thread().ident
        assert me is not None

        def press() -> None:
            time.sleep(0.2)
            signal.pthread_kill(me, signal.SIGUSR2)

        ring = During(press)
        with pytest.raises(StopError):
            session.run_command(a_script("sh", "-c", "echo begun; sleep 805"), ring)
        ring.join()
    finally:
        signal.signal(signal.SIGUSR2, before)

    assert not runs(worker, "805")
    assert run(session, "echo", "still usable") == ["still usable"]


def test_a_worker_that_hears_nothing_for_a_lease_ends_the_script(
    booted: Callable[..., Worker],
) -> None:
    worker = booted()
    dead: list[bool] = []

    def fall_silent() -> None:
        assert eventually(lambda: runs(worker, "806"))
        worker.machine.silence()
        dead.append(eventually(lambda: not runs(worker, "806"), seconds=5))
        worker.machine.heal()

    told = During(fall_silent)
    with worker.session() as session, pytest.raises(WorkerLostError, match="heard nothing for 1 s"):
        session.run_command(a_script("sh", "-c", "echo begun; exec sleep 806", lease=SECOND), told)
    told.join()

    assert dead == [True]


def test_a_killed_runner_ends_its_script_within_the_lease(booted: Callable[..., Worker]) -> None:
    worker = booted()
    login = worker.login
    code = f"""
        from datetime import timedelta
        from materia_providers.cloud_init import KeyPair
        from materia_runner.ssh.command import RemoteCommand, SshTarget
        from materia_runner.ssh.session import Session
        key = KeyPair(public={login.key.public!r}, private={login.key.private!r})
        target = SshTarget(host={login.host!r}, port={login.port}, key=key,
                           host_key={login.host_key!r})
        with Session(target, timeout=timedelta(seconds=20)) as session:
            command = RemoteCommand(id="killed", argv=("sh", "-c", "echo begun; sleep 807"),
                                    limit=timedelta(minutes=1), lease=timedelta(seconds=1))
            session.run_command(command, lambda line: print(line, flush=True))
        """
    runner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    assert runner.stdout is not None
    with runner.stdout:
        assert runner.stdout.readline() == "begun\n"
        assert eventually(lambda: runs(worker, "807"))

        runner.kill()
        runner.wait()

    assert eventually(lambda: not runs(worker, "807"))
    assert eventually(lambda: not runs(worker, "-ISc"))


def test_nothing_is_left_on_the_machine_when_a_script_has_ended(
    session: Session, worker: Worker
) -> None:
    run(session, "echo", "done")

    assert eventually(lambda: not runs(worker, "-ISc"))


def test_a_kept_command_dies_with_its_keeper(booted: Callable[..., Worker]) -> None:
    worker = booted()
    found: list[int] = []

    def kill_the_keeper() -> None:
        found.extend(
            process for process, words in worker.machine.processes().items() if "809" in words
        )
        keepers = [
            process for process, words in worker.machine.processes().items() if "-ISc" in words
        ]
        for process in keepers:
            os.kill(process, signal.SIGKILL)

    told = During(kill_the_keeper)
    with worker.session() as session, pytest.raises(WorkerLostError):
        session.run_command(
            a_script(*python("import time; print('begun'); time.sleep(900)"), "809"), told
        )
    told.join()

    assert found
    assert eventually(lambda: not any(lives(process) for process in found))
