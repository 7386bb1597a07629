"""Scripts for a worker, and what is done to it while they run."""

from __future__ import annotations

import textwrap
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from fakes.machines import READY, Worker, new_id
from materia_runner.ssh.command import RemoteCommand
from materia_runner.ssh.session import Session

SECOND = timedelta(seconds=1)


def run(session: Session, *argv: str, limit: timedelta = READY, **more: object) -> list[str]:
    """The lines of a command that must succeed."""
    lines: list[str] = []
    end = session.run_command(a_script(*argv, limit=limit, **more), lines.append)
    assert end.ok, end
    return lines


def a_script(*argv: str, limit: timedelta = READY, **more: object) -> RemoteCommand:
    return RemoteCommand(**{"id": new_id(), "argv": argv, "limit": limit, **more})  # type: ignore[arg-type]


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
