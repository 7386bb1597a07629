"""Scripts over SSH: what they are given, what is told of them, and what they end with."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.machines import Worker
from fakes.scripts import a_script, python, run
from materia.errors import StageError, WorkerLostError
from materia_runner.ssh.command import CommandResult
from materia_runner.ssh.session import Session

pytest_plugins = ["machine_fixtures"]
SECRET = "correct-horse-$HOME-'\"-\\-staple"  # noqa: S105 -- that is the point


def test_a_script_is_told_by_line_and_ends_with_its_status(session: Session) -> None:
    lines: list[str] = []

    end = session.run_command(
        a_script("sh", "-c", "echo one; echo two; echo why >&2; exit 7"), lines.append
    )

    assert lines == ["one", "two"]
    assert end == CommandResult(status=7, reason="exited", last_words=("why",), resumed=0)
    assert not end.ok


def test_only_a_script_that_ends_by_itself_with_0_succeeded(session: Session) -> None:
    good = session.run_command(a_script("true"), print)

    assert (good.status, good.reason, good.ok) == (0, "exited", True)
    assert not CommandResult(status=0, reason="limit", last_words=(), resumed=0).ok


def test_a_script_ended_by_a_signal_tells_which(session: Session) -> None:
    end = session.run_command(a_script("sh", "-c", "kill -KILL $$"), print)

    assert (end.status, end.reason) == (-signal.SIGKILL, "exited")


def test_a_program_that_is_not_there_is_told_by_name(session: Session) -> None:
    end = session.run_command(a_script("no-such-program"), print)

    assert end.status == 127
    assert end.last_words == ("no-such-program: No such file or directory",)


def test_lines_come_while_the_script_still_runs(session: Session) -> None:
    times: list[float] = []

    end = session.run_command(
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
    end = session.run_command(
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

    end = session.run_command(
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
            session.run_command(a_script("true"), print)
    finally:
        profile.unlink()


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
        end = session.run_command(script, lines.append)
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


@pytest.mark.parametrize("bad", ["", "../up", "a b", "A", "x" * 101])
def test_an_id_that_is_no_name_for_a_folder_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="the id of a command has only"):
        a_script("true", id=bad)


def test_a_script_is_never_run_twice(session: Session) -> None:
    script = a_script("sh", "-c", "echo ran >> twice.txt")
    session.run_command(script, print)

    with pytest.raises(WorkerLostError, match="knows nothing of"):
        session.run_command(script, print)

    assert run(session, "cat", "twice.txt") == ["ran"]
