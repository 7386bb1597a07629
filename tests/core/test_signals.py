from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import subprocess
import termios
import threading
from pathlib import Path

import pytest
from fakes.examples import of_each_kind
from fakes.workshop import Workshop, alive, wait_until
from materia_runner.signals import Interrupted, ThreadInterrupts, interrupts
from materia_runner.ssh.agent.keep_alive import descendants

ENDINGS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def started(folders: Workshop, where: str) -> tuple[subprocess.Popen[str], int]:
    """A run that hangs in a stage, and the process of its worker."""
    word = "#hang" if where == "fetch" else "#load-hang"
    folders.write("in/2024-03.csv", f"{word}\n")
    run = folders.start("run")
    mark = folders.directory / "in" / f"hanging-in-{where}"
    wait_until(lambda: mark.exists() and mark.read_text() != "", f"hanging in {where}")
    return run, int(mark.read_text())


@pytest.mark.parametrize("number", ENDINGS)
@pytest.mark.parametrize("where", of_each_kind(["fetch", "load"], "fetch"))
def test_a_signal_in_a_stage_leaves_no_worker_and_no_folder(
    folders: Workshop, where: str, number: signal.Signals
) -> None:
    run, worker = started(folders, where)
    run.send_signal(number)
    _, said = run.communicate(timeout=30)

    assert run.returncode == ENDINGS[number]
    assert said == f"materia: ended by {number.name}; nothing is left half done\n"
    assert not alive(worker)
    assert folders.workers() == []


def test_a_run_that_was_cut_off_goes_on_where_it_stopped(folders: Workshop) -> None:
    run, _ = started(folders, "fetch")
    record = folders.directory / "out" / "folder.json"
    wait_until(
        lambda: (
            record.exists() and all(one in record.read_text() for one in ("2024-01", "2024-02"))
        ),
        "record of both files that do not hang",
    )
    run.terminate()
    run.communicate(timeout=30)
    folders.write("in/2024-03.csv", "apples,4\n")

    ended = folders.run("pipeline", "run", "extract")

    assert ended.returncode == 0
    assert "1 fetched, 2 unchanged" in ended.stdout


@pytest.mark.parametrize("where", ["fetch", "load"])
def test_a_killed_runner_takes_its_worker_with_it(folders: Workshop, where: str) -> None:
    run, worker = started(folders, where)
    run.kill()
    run.communicate(timeout=30)

    wait_until(lambda: not alive(worker), "the end of the worker")


def test_what_a_killed_run_left_is_cleared_away_by_the_next(folders: Workshop) -> None:
    run, worker = started(folders, "fetch")
    run.kill()
    run.communicate(timeout=30)
    wait_until(lambda: not alive(worker), "the end of the worker")
    assert len(folders.workers()) == 1
    folders.write("in/2024-03.csv", "apples,4\n")

    ended = folders.run("pipeline", "run", "extract")

    assert ended.returncode == 0
    assert folders.workers() == []


def test_a_run_beside_another_leaves_the_worker_of_the_other_alone(folders: Workshop) -> None:
    run, worker = started(folders, "fetch")
    mine = folders.workers()
    (folders.directory / "in" / "2024-03.csv").write_text("apples,4\n")

    ended = folders.run("pipeline", "run", "extract")

    assert ended.returncode == 0
    assert folders.workers() == mine
    assert alive(worker)
    run.terminate()
    run.communicate(timeout=30)


def test_a_second_signal_does_not_disturb_clearing_up() -> None:
    cleared = False
    with pytest.raises(Interrupted) as raised, interrupts():  # noqa: PT012 -- the block is interrupted
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            cleared = True

    assert cleared
    assert raised.value.exit_code == 143


def test_a_held_signal_waits_for_the_end_of_the_block(tmp_path: Path) -> None:
    done = tmp_path / "done"
    with pytest.raises(Interrupted), interrupts() as signals, signals.held():  # noqa: PT012 -- as above
        os.kill(os.getpid(), signal.SIGTERM)
        done.touch()

    assert done.exists()


def test_a_held_signal_comes_through_when_they_are_released() -> None:
    steps = []
    with pytest.raises(Interrupted), interrupts() as signals, signals.held():  # noqa: PT012 -- as above
        try:
            os.kill(os.getpid(), signal.SIGHUP)
            steps.append("created")
            with signals.released():
                steps.append("never")
        finally:
            steps.append("destroyed")

    assert steps == ["created", "destroyed"]


def test_the_handlers_are_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with interrupts():
        assert signal.getsignal(signal.SIGTERM) is not before

    assert signal.getsignal(signal.SIGTERM) is before


def test_a_terminal_that_is_closed_ends_the_run_and_its_worker(folders: Workshop) -> None:
    folders.write("in/2024-03.csv", "#hang\n")
    ours, theirs = pty.openpty()
    run = subprocess.Popen(
        folders.command("run"),
        cwd=folders.directory,
        env=folders.environment(TERM="xterm"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        # What a shell does for what it starts: this terminal is the one that hangs up.
        preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),  # noqa: PLW1509 -- no threads here
    )
    os.close(theirs)
    mark = folders.directory / "in" / "hanging-in-fetch"
    wait_until(lambda: mark.exists() and mark.read_text() != "", "hanging in fetch")
    os.close(ours)

    assert run.wait(timeout=30) == 129
    assert not alive(int(mark.read_text()))
    assert folders.workers() == []


@pytest.mark.parametrize("while_it", ["imports the command line", "loads plugins"])
def test_ctrl_c_while_it_starts_is_no_traceback(workshop: Workshop, while_it: str) -> None:
    module = "typer" if while_it == "imports the command line" else "impatient"
    # Whoever runs the tests in the background has it ignored.
    as_in_a_terminal = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    interrupt = "os.kill(os.getpid(), signal.SIGINT)"
    workshop.module(module, f"import os, signal\n{as_in_a_terminal}\n{interrupt}\n")
    workshop.install("impatient", "impatient")

    ended = workshop.run("run")

    assert (ended.returncode, ended.stdout, ended.stderr.strip()) == (130, "", "")


def test_a_thread_is_interrupted_while_it_waits_and_never_while_it_cleans_up() -> None:
    signals, waits, steps = ThreadInterrupts(), threading.Event(), list[str]()

    def work() -> None:
        try:
            with signals.held():
                try:
                    with signals.released():
                        steps.append("waits")
                        waits.set()
                        signals.during(threading.Event().wait)
                finally:
                    signals.stop(Interrupted(signal.SIGINT))  # as a second Ctrl-C
                    signals.check()
                    assert signals.during(lambda: True)
                    steps.append("cleaned up")
        except Interrupted as interrupted:
            steps.append(str(interrupted))

    thread = threading.Thread(target=work)
    thread.start()
    waits.wait()
    signals.stop(Interrupted(signal.SIGTERM, "ended because another worker failed"))
    thread.join()

    assert steps == ["waits", "cleaned up", "ended because another worker failed"]


def test_a_thread_that_is_stopped_while_it_may_not_be_ends_as_soon_as_it_may() -> None:
    signals, steps = ThreadInterrupts(), list[str]()

    def work() -> None:
        with signals.held():
            signals.stop(Interrupted(signal.SIGTERM))
            signals.check()
            steps.append("its end")

    with pytest.raises(Interrupted, match="SIGTERM"):
        work()
    assert steps == ["its end"]


@pytest.mark.parametrize("number", ENDINGS)
def test_a_signal_that_was_ignored_from_the_start_stays_ignored(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with interrupts():
            os.kill(os.getpid(), number)
            assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_a_run_in_the_background_of_a_script_does_not_hear_an_interrupt(folders: Workshop) -> None:
    folders.write("in/2024-03.csv", "#hang\n")
    mark = folders.directory / "in" / "hanging-in-fetch"
    run = subprocess.Popen(
        ["/bin/sh", "-c", '"$@" & wait', "sh", *folders.command("run")],
        cwd=folders.directory,
        env=folders.environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: mark.exists() and mark.read_text() != "", "hanging")
    (background,) = [one for one in descendants(run.pid) if b"run" in words(one)]

    os.kill(background, signal.SIGINT)
    os.kill(background, signal.SIGTERM)
    _, said = run.communicate(timeout=30)

    assert said == "materia: ended by SIGTERM; nothing is left half done\n"


def words(process: int) -> list[bytes]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    return []
