import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.machines import READY, Worker, lives, new_id
from materia.bootstrap import generate_key
from materia.errors import HostKeyError, StageError, WorkerLostError
from materia.script import Exit, Script
from materia.ssh import Session

pytest_plugins = ["machine_fixtures"]

SECOND = timedelta(seconds=1)
SECRET = "correct-horse-$HOME-'\"-\\-staple"  # noqa: S105 -- that is the point


def run(session: Session, *argv: str, limit: timedelta = READY, **more: object) -> list[str]:
    """The lines of a command that must succeed."""
    lines: list[str] = []
    end = session.run_script(a_script(*argv, limit=limit, **more), lines.append)
    assert end.ok, end
    return lines


def a_script(*argv: str, limit: timedelta = READY, **more: object) -> Script:
    return Script(**{"id": new_id(), "argv": argv, "limit": limit, **more})  # type: ignore[arg-type]


def python(text: str) -> tuple[str, ...]:
    return ("python3", "-uc", textwrap.dedent(text))


def eventually(fact: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not fact() and time.monotonic() < end:
        time.sleep(0.02)
    return fact()


def runs(worker: Worker, word: str) -> bool:
    """Whether a command with that word among its arguments runs on the machine."""
    return any(word in words for words in worker.commands())


class During:
    """Does something to the worker while a script runs, once a line was told."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.lines: list[str] = []
        self._act = threading.Thread(target=act)

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        if len(self.lines) == 1:
            self._act.start()

    def join(self) -> None:
        self._act.join()


# Success and failure ---------------------------------------------------------------------------


def test_a_script_is_told_by_line_and_ends_with_its_status(session: Session) -> None:
    lines: list[str] = []

    end = session.run_script(
        a_script("sh", "-c", "echo one; echo two; echo why >&2; exit 7"), lines.append
    )

    assert lines == ["one", "two"]
    assert end == Exit(status=7, reason="exited", last_words=("why",), resumed=0)
    assert not end.ok


def test_only_a_script_that_ends_by_itself_with_0_succeeded(session: Session) -> None:
    good = session.run_script(a_script("true"), print)

    assert (good.status, good.reason, good.ok) == (0, "exited", True)
    assert not Exit(status=0, reason="limit", last_words=(), resumed=0).ok


def test_a_script_ended_by_a_signal_tells_which(session: Session) -> None:
    end = session.run_script(a_script("sh", "-c", "kill -KILL $$"), print)

    assert (end.status, end.reason) == (-signal.SIGKILL, "exited")


def test_a_program_that_is_not_there_is_told_by_name(session: Session) -> None:
    end = session.run_script(a_script("no-such-program"), print)

    assert end.status == 127
    assert end.last_words == ("no-such-program: No such file or directory",)


def test_lines_come_while_the_script_still_runs(session: Session) -> None:
    times: list[float] = []

    end = session.run_script(
        a_script("sh", "-c", "echo a; sleep 0.5; echo b"), lambda _: times.append(time.monotonic())
    )

    assert end.ok
    assert times[1] - times[0] > 0.4


def test_text_is_told_whole_however_it_was_written(session: Session) -> None:
    lines = run(
        session,
        *python(
            r"""
            import os, time
            for piece in (b"gr\xc3", b"\xbc\xc3\x9fe\r\n\nno", b" end", b" \xff"):
                os.write(1, piece)
                time.sleep(0.05)
            """
        ),
    )

    assert lines == ["grüße", "", "no end \ufffd"]


def test_a_line_longer_than_memory_should_hold_is_told_in_pieces(session: Session) -> None:
    lines = run(session, *python("print('x' * 5_000_000)"))

    assert len(lines) > 1
    assert "".join(lines) == "x" * 5_000_000


def test_a_large_output_arrives_without_loss_and_in_order(session: Session) -> None:
    lines = run(session, *python("for number in range(500_000): print('line', number)"))

    assert lines == [f"line {number}" for number in range(500_000)]


def test_only_the_end_of_the_errors_is_kept(session: Session) -> None:
    end = session.run_script(
        a_script(*python("import sys\nfor n in range(5000): print('error', n, file=sys.stderr)")),
        print,
    )

    assert end.last_words == tuple(f"error {number}" for number in range(4950, 5000))


def test_a_slow_listener_holds_the_script_up_and_loses_nothing(session: Session) -> None:
    lines: list[str] = []

    def listen(line: str) -> None:
        if len(lines) == 10:
            time.sleep(1)
        lines.append(line)

    end = session.run_script(
        a_script(*python("for n in range(300_000): print(n, 'x' * 60)")), listen
    )

    assert end.ok
    assert [line.split()[0] for line in lines] == [str(number) for number in range(300_000)]


def test_a_session_runs_one_script_after_the_other(session: Session) -> None:
    assert [run(session, "echo", word) for word in ("one", "two")] == [["one"], ["two"]]


def test_two_machines_run_at_once_without_disturbing_each_other(
    booted: Callable[..., Worker],
) -> None:
    workers = [booted(), booted()]
    heard: dict[str, list[str]] = {}

    def use(worker: Worker) -> None:
        with worker.session() as session:
            heard[worker.login.host] = run(session, "sh", "-c", "sleep 0.3; hostname; echo hi")

    threads = [threading.Thread(target=use, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({worker.login.host for worker in workers}) == 2
    assert [lines[1] for lines in heard.values()] == ["hi", "hi"]


def test_a_machine_without_python_says_so(session: Session, worker: Worker) -> None:
    # The launcher is looked up in PATH; a login shell's own settings can take it away.
    profile = worker.machine.folder / "home" / "materia" / ".bashrc"
    profile.write_text("PATH=/nonexistent\n")
    try:
        if worker.machine.kind == "asyncssh":
            pytest.skip("a stand-in reads no .bashrc")
        with pytest.raises(StageError, match=r"python3 cannot start \(exit code 127\).*python3"):
            session.run_script(a_script("true"), print)
    finally:
        profile.unlink()


# Where it runs, and what it is given -----------------------------------------------------------


def test_a_script_runs_at_home_or_in_a_folder_that_is_made(session: Session) -> None:
    home, there = run(session, "pwd")[0], run(session, "pwd", directory="new/place")[0]

    assert Path(home).name == "materia"
    assert there == f"{home}/new/place"


def test_input_is_given_and_stays_open(session: Session) -> None:
    lines = run(
        session,
        *python(
            """
            import select, sys
            print(repr(sys.stdin.readline()))
            print(select.select([sys.stdin], [], [], 0.3)[0])
            """
        ),
        input="a line of JSON\n",
    )

    assert lines == [r"'a line of JSON\n'", "[]"]


def test_input_larger_than_a_pipe_reaches_a_script_that_reads_late(session: Session) -> None:
    lines = run(
        session,
        *python("import sys, time; time.sleep(0.3); print(len(sys.stdin.readline()))"),
        input="x" * 3_000_000 + "\n",
    )

    assert lines == ["3000001"]


def test_variables_arrive_as_they_are(session: Session) -> None:
    value = "two\nlines 'and' \"quotes\" $HOME \\ ü"

    lines = run(
        session, *python("import os; print(ascii(os.environ['TOLD']))"), environment={"TOLD": value}
    )

    assert lines == [ascii(value)]


def test_secrets_are_in_no_argument_variable_file_or_log_of_the_machine(
    booted: Callable[..., Worker],
) -> None:
    worker = booted()
    seen: dict[str, str] = {}
    # What somebody else on the machine can see: arguments of all, and the files.
    spy = """
        import os, pathlib, sys
        sys.stdin.readline()
        for process in filter(str.isdigit, os.listdir("/proc")):
            try: text = pathlib.Path("/proc", process, "cmdline").read_bytes()
            except OSError: continue
            print("argv", ascii(text))
        for number in (os.getppid(), os.getsid(os.getppid())):
            try: print("parent", ascii(pathlib.Path(f"/proc/{number}/environ").read_bytes()))
            except OSError: pass
        """

    with worker.session() as session:
        script = a_script(*python(spy), input=f"{SECRET}\n", environment={"PASSWORD": SECRET})
        lines: list[str] = []
        end = session.run_script(script, lines.append)
    for path in worker.machine.folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            seen[str(path)] = path.read_bytes().decode(errors="replace")
    seen["console"] = worker.machine.console()
    seen["user data"] = worker.user_data
    seen["repr"] = repr(script)

    assert end.ok
    assert sum("exec(compile(text" in line for line in lines if line.startswith("argv")) >= 1
    assert [line for line in lines if "staple" in line] == []
    assert {place for place, text in seen.items() if "staple" in text} == set()


# Deadlines, the life line, and being ended -----------------------------------------------------


def test_a_hung_script_is_ended_at_its_limit(session: Session, worker: Worker) -> None:
    started = time.monotonic()

    end = session.run_script(a_script("sleep", "801", limit=SECOND), print)

    assert (end.status, end.reason, end.ok) == (-signal.SIGTERM, "limit", False)
    assert 1 <= time.monotonic() - started < 5
    assert not runs(worker, "801")


def test_a_script_that_will_not_end_is_killed_with_all_it_started(
    session: Session, worker: Worker
) -> None:
    stubborn = "trap '' TERM; (setsid sleep 802 &) ; while :; do sleep 0.1; done"

    end = session.run_script(a_script("sh", "-c", stubborn, limit=SECOND, grace=SECOND), print)

    assert (end.status, end.reason) == (-signal.SIGKILL, "limit")
    assert not runs(worker, "802")


def test_what_a_script_leaves_behind_ends_with_it(session: Session, worker: Worker) -> None:
    started = time.monotonic()

    end = session.run_script(a_script("sh", "-c", "setsid sleep 803 & echo left"), print)

    assert end.ok
    assert time.monotonic() - started < 5
    assert not runs(worker, "803")


def test_an_exception_of_the_listener_ends_the_script_first(
    session: Session, worker: Worker
) -> None:
    def refuse(line: str) -> None:
        raise KeyError(line)

    with pytest.raises(KeyError, match="begun"):
        session.run_script(a_script("sh", "-c", "echo begun; sleep 804"), refuse)

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
            session.run_script(a_script("sh", "-c", "echo begun; sleep 805"), ring)
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
        session.run_script(a_script("sh", "-c", "echo begun; exec sleep 806", lease=SECOND), told)
    told.join()

    assert dead == [True]


def test_a_killed_runner_ends_its_script_within_the_lease(booted: Callable[..., Worker]) -> None:
    worker = booted()
    login = worker.login
    code = f"""
        from datetime import timedelta
        from materia.bootstrap import KeyPair
        from materia.script import Login, Script
        from materia.ssh import Session
        key = KeyPair(public={login.key.public!r}, private={login.key.private!r})
        login = Login(host={login.host!r}, port={login.port}, key=key, host_key={login.host_key!r})
        with Session(login, timeout=timedelta(seconds=20)) as session:
            script = Script(id="killed", argv=("sh", "-c", "echo begun; sleep 807"),
                            limit=timedelta(minutes=1), lease=timedelta(seconds=1))
            session.run_script(script, lambda line: print(line, flush=True))
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


# Lost connections ------------------------------------------------------------------------------

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
        end = session.run_script(a_script(*python(TICKS)), told)
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
        end = session.run_script(
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
        end = session.run_script(
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
        pytest.raises(WorkerLostError, match="the worker is out of reach, script-"),
    ):
        session.run_script(a_script("sh", "-c", "echo begun; sleep 60", lease=SECOND), told)
    told.join()


def test_a_machine_that_was_started_again_has_lost_the_script(
    booted: Callable[..., Worker],
) -> None:
    worker = booted()

    def restart() -> None:
        assert eventually(lambda: runs(worker, "808"))
        for process, words in worker.machine.processes().items():
            if any("exec(compile(text" in word for word in words) or "808" in words:
                os.kill(process, signal.SIGKILL)

    told = During(restart)
    with worker.session() as session, pytest.raises(WorkerLostError, match="knows nothing of"):
        session.run_script(a_script("sh", "-c", "echo begun; exec sleep 808"), told)
    told.join()

    assert not runs(worker, "808")


@pytest.mark.parametrize("bad", ["", "../up", "a b", "A", "x" * 101])
def test_an_id_that_is_no_name_for_a_folder_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="a script's id is made of"):
        a_script("true", id=bad)


def test_a_script_is_never_run_twice(session: Session) -> None:
    script = a_script("sh", "-c", "echo ran >> twice.txt")
    session.run_script(script, print)

    with pytest.raises(WorkerLostError, match="knows nothing of"):
        session.run_script(script, print)

    assert run(session, "cat", "twice.txt") == ["ran"]


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
                os.kill(process, signal.SIGKILL)

    told = During(swap)
    with worker.session() as session, pytest.raises(HostKeyError, match="another host key"):
        session.run_script(a_script("sh", "-c", "echo begun; sleep 60", lease=SECOND * 2), told)
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
        end = session.run_script(
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
        end = session.run_script(a_script(*python(TICKS)), told)
    told.join()
    forwarder.close()

    assert told.lines == [f"line {number}" for number in range(40)]
    assert end.status == 3
    assert end.resumed == 1


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
        session.run_script(
            a_script(*python("import time; print('begun'); time.sleep(900)"), "809"), told
        )
    told.join()

    assert found
    assert eventually(lambda: not any(lives(process) for process in found))
