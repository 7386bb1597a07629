"""A local run that is killed: its worker has ended before anything is cleared away under it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes.workshop import Workshop, alive, wait_until
from materia_providers.local_process import LOCK, end_process, lock_for_process, note_group

# Holds on to its folder after the run is gone: what it makes there comes back when it is cleared.
ORPHAN = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("here", flush=True)
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    pathlib.Path("made", "anew").mkdir(parents=True, exist_ok=True)
    time.sleep(0.01)
"""


def orphan(folder: Path, seconds: float) -> subprocess.Popen[str]:
    """A process that works in a worker's folder, and whose run is gone."""
    with lock_for_process(folder) as lock:
        process = subprocess.Popen(
            [sys.executable, "-c", ORPHAN, str(seconds)],
            cwd=folder,
            stdout=subprocess.PIPE,
            pass_fds=(lock,),
            start_new_session=True,
            text=True,
        )
        note_group(lock, process.pid)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_process_that_is_ending_is_waited_for(tmp_path: Path) -> None:
    with orphan(tmp_path, 0.5) as process:
        end_process(tmp_path)

        assert process.poll() is None or process.returncode == 0
    assert process.returncode == 0


def test_a_process_that_does_not_end_is_killed_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("materia_providers.local_process.PATIENCE_SECONDS", 0.2)
    with orphan(tmp_path, 600) as process:
        end_process(tmp_path)

        assert process.wait(10) == -signal.SIGKILL


def test_where_nothing_works_there_is_nothing_to_wait_for(tmp_path: Path) -> None:
    end_process(tmp_path)
    (tmp_path / LOCK).touch()
    end_process(tmp_path)
    end_process(tmp_path / "not there")


def killed(folders: Workshop) -> int:
    """The process of a worker whose run was killed in the middle of a stage."""
    folders.write("in/2024-03.csv", "#hang\n")
    run = folders.start("run")
    mark = folders.directory / "in" / "hanging-in-fetch"
    wait_until(lambda: mark.exists() and mark.read_text() != "", "hanging")
    worker = int(mark.read_text())
    run.kill()
    run.communicate()
    return worker


def test_a_sweep_clears_no_folder_in_which_a_killed_run_still_works(folders: Workshop) -> None:
    worker = killed(folders)

    swept = folders.run("sweep")

    assert swept.returncode == 0, swept.stderr
    assert not alive(worker)
    assert folders.workers() == []


@pytest.mark.slow
def test_a_run_right_after_one_that_was_killed_is_as_if_nothing_was(folders: Workshop) -> None:
    worker = killed(folders)
    (folders.directory / "in" / "2024-03.csv").write_text("a,3\n")

    done = folders.run("run")

    assert done.returncode == 0, done.stderr
    assert not alive(worker)
    assert folders.workers() == []


@pytest.mark.parametrize("litter", ["work", "work/made/anew"])
def test_a_sweep_finds_the_folder_that_a_dead_worker_made_anew(
    folders: Workshop, litter: str
) -> None:
    killed(folders)
    (name,) = folders.workers()
    assert folders.run("sweep").returncode == 0
    (folders.directory / ".materia" / "workers" / name / litter).mkdir(parents=True)

    swept = folders.run("sweep")

    assert name in swept.stderr + swept.stdout
    assert folders.workers() == []


def test_a_sweep_leaves_a_folder_alone_that_a_run_unknown_here_may_be_making(
    folders: Workshop,
) -> None:
    workers = folders.directory / ".materia" / "workers"
    young = workers / "materia-20261124t085500-ab12cd-extract"
    old = workers / "materia-20261124t085500-ab12ce-extract"
    foreign = workers / "notes"
    for folder in (young, old, foreign):
        folder.mkdir(parents=True)
    before = time.time() - 120
    for folder in (old, foreign):
        os.utime(folder, (before, before))

    swept = folders.run("sweep")

    assert swept.returncode == 0, swept.stderr
    assert folders.workers() == [young.name, foreign.name]
