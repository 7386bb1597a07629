"""Scripts over SSH whose connection breaks: resumed without a loss, or known to be lost."""

import contextlib
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from fakes.machines import READY, Worker
from fakes.scripts import SECOND, During, a_script, eventually, python, runs
from materia.errors import HostKeyError, WorkerLostError
from materia_providers.cloud_init import generate_key
from materia_runner.ssh.session import Session

pytest_plugins = ["machine_fixtures"]
TICKS = """
    import time
    for number in range(40):
        print("line", number)
        time.sleep(0.05)
    raise SystemExit(3)
    """


def test_a_broken_connection_is_resumed_without_a_line_lost_or_told_twice(
    booted: Callable[..., Worker],
) -> None:
    worker = booted()

    def cut_three_times() -> None:
        for _ in range(3):
            worker.machine.cut()
            time.sleep(0.5)

    told = During(cut_three_times)
    with worker.session() as session:
        end = session.run_command(a_script(*python(TICKS)), told)
        told.join()

    assert told.lines == [f"line {number}" for number in range(40)]
    assert (end.status, end.reason) == (3, "exited")
    assert end.resumed >= 2


def test_a_large_output_survives_cuts(booted: Callable[..., Worker]) -> None:
    worker = booted()

    def cut_often() -> None:
        for _ in range(6):
            worker.machine.cut()
            time.sleep(0.25)

    told = During(cut_often)
    with worker.session() as session:
        end = session.run_command(
            a_script(*python("for number in range(1_500_000): print('line', number)")), told
        )
        told.join()

    assert end.ok
    assert end.resumed >= 1
    assert told.lines == [f"line {number}" for number in range(1_500_000)]


def test_the_result_of_a_script_that_ended_while_nobody_listened_is_not_lost(
    booted: Callable[..., Worker],
) -> None:
    worker = booted()

    def away_for_a_while() -> None:
        worker.machine.silence()
        time.sleep(1.5)
        worker.machine.cut()
        worker.machine.heal()

    told = During(away_for_a_while)
    with worker.session() as session:
        end = session.run_command(
            a_script("sh", "-c", "echo begun; sleep 0.7; echo result; exit 5"), told
        )
        told.join()

    assert told.lines == ["begun", "result"]
    assert (end.status, end.reason) == (5, "exited")
    # A stand-in sends what it has before it cuts.
    assert end.resumed == (1 if worker.machine.kind == "openssh" else 0)


def test_a_lost_machine_is_never_success(booted: Callable[..., Worker]) -> None:
    worker = booted()
    told = During(worker.machine.halt)

    with (
        worker.session() as session,
        pytest.raises(
            WorkerLostError, match="the worker is out of reach, the connection broke during script-"
        ),
    ):
        session.run_command(a_script("sh", "-c", "echo begun; sleep 60", lease=SECOND), told)
    told.join()


def test_a_machine_that_was_started_again_has_lost_the_script(
    booted: Callable[..., Worker],
) -> None:
    worker = booted()

    def restart() -> None:
        assert eventually(lambda: runs(worker, "808"))
        for process, words in worker.machine.processes().items():
            if any("exec(compile(text" in word for word in words) or "808" in words:
                # The end of one may end another before it is its turn.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)

    told = During(restart)
    with worker.session() as session, pytest.raises(WorkerLostError, match="knows nothing of"):
        session.run_command(a_script("sh", "-c", "echo begun; exec sleep 808"), told)
    told.join()

    assert not runs(worker, "808")


def test_a_machine_that_comes_back_with_another_host_key_is_not_resumed(
    booted: Callable[..., Worker],
) -> None:
    worker = booted()
    if worker.machine.kind == "asyncssh":
        pytest.skip("a stand-in reads its host key once")
    path = worker.machine.folder / "etc" / "ssh" / "ssh_host_ed25519_key"

    def swap() -> None:
        path.write_text(generate_key().private)
        for process, words in worker.machine.processes().items():
            if words[0].startswith("sshd"):
                # The end of one may end another before it is its turn.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)

    told = During(swap)
    with worker.session() as session, pytest.raises(HostKeyError, match="host key mismatch"):
        session.run_command(a_script("sh", "-c", "echo begun; sleep 60", lease=SECOND * 2), told)
    told.join()


@pytest.mark.slow
def test_a_silent_network_is_noticed_and_the_script_resumed(booted: Callable[..., Worker]) -> None:
    worker = booted()

    def silence_for_longer_than_the_keepalives() -> None:
        worker.machine.silence()
        time.sleep(22)
        worker.machine.heal()

    told = During(silence_for_longer_than_the_keepalives)
    with worker.session() as session:
        end = session.run_command(
            a_script("sh", "-c", "echo begun; sleep 25; echo result", limit=SECOND * 90), told
        )
        told.join()

    assert told.lines == ["begun", "result"]
    assert end.ok
    assert end.resumed == 1


class Forwarder:
    """Stands before a worker and can reset its connections, as a network does."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._front = socket.create_server(("127.0.0.1", 0))
        self._lines: list[socket.socket] = []
        self.port = self._front.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        login = self._worker.login
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._front.accept()
                far = socket.create_connection((login.host, login.port))
                self._lines += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(65536):
                target.sendall(block)

    def reset(self) -> None:
        for line in self._lines[-2:]:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RD)
            line.close()

    def close(self) -> None:
        self._front.shutdown(socket.SHUT_RDWR)
        for line in (self._front, *self._lines):
            line.close()


def test_a_reset_is_survived_like_any_other_cut(booted: Callable[..., Worker]) -> None:
    worker = booted()
    forwarder = Forwarder(worker)
    told = During(forwarder.reset)
    login = replace(worker.login, host="127.0.0.1", port=forwarder.port)

    with Session(login, timeout=READY) as session:
        end = session.run_command(a_script(*python(TICKS)), told)
    told.join()
    forwarder.close()

    assert told.lines == [f"line {number}" for number in range(40)]
    assert end.status == 3
    assert end.resumed == 1
