"""Tests do not depend on the shell that starts them: nohup, another zone, a narrow screen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.workshop import Workshop

TESTS = Path(__file__).resolve().parent
# A shell that ignores signals, as `nohup pytest &` in a script has them, and says odd things.
ODD_SHELL = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
ODD = {
    "COLUMNS": "33",
    "FORCE_COLOR": "1",
    "LANG": "tr_TR.UTF-8",
    "LC_ALL": "C",
    "MATERIA_CONFIG": "/nowhere/materia.toml",
    "MATERIA_STATE_DIR": "/nowhere/state",
    "NO_COLOR": "1",
    "TZ": "Pacific/Chatham",
}
INSIDE = """
import os, signal, subprocess, sys
sys.path.insert(0, {tests!r})
import conftest
ignored = [number.name for number in conftest.ENDING if signal.getsignal(number) == signal.SIG_IGN]
os.kill(os.getpid(), signal.SIGHUP)  # ignored, as it was
child = "import signal; [print(one.name, signal.getsignal(one) == signal.SIG_IGN) for one in "
child += "(signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT)]; "
child += "print('blocked', bool(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout)
print(*ignored, *(name for name in {odd!r} if name in os.environ), os.environ["TZ"])
"""


def test_what_a_test_starts_inherits_nothing_odd_of_the_shell() -> None:
    code = INSIDE.format(tests=str(TESTS), odd=tuple(set(ODD) - {"TZ"}))

    ended = subprocess.run(
        [sys.executable, "-c", ODD_SHELL, "-c", code],
        env={**os.environ, **ODD},
        capture_output=True,
        text=True,
        check=True,
    )

    assert ended.stdout.split() == [
        *("SIGINT", "False", "SIGHUP", "False", "SIGTERM", "False", "SIGQUIT", "False"),
        *("blocked", "False"),
        "UTC",
    ]


def test_what_a_test_started_and_left_is_killed_at_its_end(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    left = workshop.start("emulator", "--provider", "hetzner", "--no-machines")

    workshop.kill_all()

    assert left.returncode == -signal.SIGKILL


def test_no_run_of_a_test_is_among_those_of_the_person_who_runs_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    assert Path(os.environ["MATERIA_STATE_DIR"]).is_relative_to(tmp_path_factory.getbasetemp())
