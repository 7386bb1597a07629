"""Crash tests: run a function in a separate process and kill it with SIGKILL at a chosen line.

The kill happens before a chosen line of the plugin's own code, so the tests cover every gap between
two steps and not only those that random timing hits.
"""

from __future__ import annotations

import inspect
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from materia.errors import MateriaError, error_called

PATIENCE_SECONDS = 60.0
KILLED = -signal.SIGKILL
# Import these once in the fork server: a new interpreter for each process would be slow.
PRELOADED = [
    "pytest",
    "duckdb",
    "materia_testing.contracts.sink",
    "materia_testing.contracts.source",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a process ended.

    Attributes:
        killed: Whether it was killed before it was done.
        value: What its function returned.
        error: A copy of the MateriaError it raised, or None.
        lines: How many lines of the plugin's package ran.
    """

    killed: bool
    value: Any = None
    error: MateriaError | None = None
    lines: int = 0


class Elsewhere:
    """A function that runs in another process."""

    def __init__(
        self,
        function: Callable[..., object],
        *arguments: object,
        package: str = "",
        kill_before: int | None = None,
        file_size_limit: int | None = None,
    ) -> None:
        """Start *function*; function and arguments must be picklable.

        *kill_before* counts the executed lines of *package* from 1; spaces separate several
        packages. *file_size_limit* is in bytes: a write beyond it fails, which simulates a full
        disk without root.
        """
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self._pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=_work,
            args=(theirs, function, arguments, package, kill_before, file_size_limit),
            daemon=True,
        )
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process.pid is not None
        return self._process.pid

    def receive(self) -> object:
        """Wait for the value that the function sends with `tell`."""
        assert self._pipe.poll(PATIENCE_SECONDS), "the other process sends nothing"
        return self._pipe.recv()

    def go_on(self) -> None:
        """Let a function that waits in `tell` continue."""
        self._pipe.send(None)

    def kill(self) -> None:
        """Kill the process with SIGKILL and wait until it is gone."""
        self._process.kill()
        self._process.join(PATIENCE_SECONDS)
        self._pipe.close()

    def ending(self) -> Ending:
        """Wait for the end of the process.

        Raises:
            AssertionError: it raised another error than a MateriaError, or does not end.
        """
        try:
            assert self._pipe.poll(PATIENCE_SECONDS), "the other process does not end"
            kind, value, lines = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            kind, value, lines = "killed", None, 0
        finally:
            self._process.join(PATIENCE_SECONDS)
            self._pipe.close()
        if kind == "killed":
            assert self._process.exitcode == KILLED, f"it ended with {self._process.exitcode}"
            return Ending(killed=True)
        if kind == "error":
            name, message = value
            return Ending(killed=False, error=error_called(name, message), lines=lines)
        assert kind == "value", f"it raised an error that no plugin may raise:\n{value}"
        return Ending(killed=False, value=value, lines=lines)


def elsewhere(function: Callable[..., object], *arguments: object, **options: Any) -> Ending:
    """Run *function* in another process to its end; the options are those of `Elsewhere`."""
    return Elsewhere(function, *arguments, **options).ending()


def kill_points(lines: int, *, at_most: int) -> Iterator[int]:
    """Up to *at_most* of the numbers 1 to *lines*, evenly spread, the first and last included."""
    count = min(lines, at_most)
    for index in range(count):
        yield 1 + round(index * (lines - 1) / max(count - 1, 1))


_ours: list[Connection[object, object]] = []


def tell(value: object) -> None:
    """Inside an `Elsewhere`: send *value* to the test and wait for `go_on`."""
    _ours[0].send(value)
    _ours[0].recv()


def _work(  # noqa: PLR0917 -- multiprocessing passes a plain list
    pipe: Connection[object, object],
    function: Callable[..., object],
    arguments: tuple[object, ...],
    package: str,
    kill_before: int | None,
    file_size_limit: int | None,
) -> None:
    _ours[:] = [pipe]
    if file_size_limit is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size_limit, hard))
    count = 0
    packages = tuple(f"{one}." for one in package.split())

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        nonlocal count
        name = frame.f_globals.get("__name__", "")
        ours = f"{name}.".startswith(packages)
        if not ours or not frame.f_code.co_flags & inspect.CO_OPTIMIZED:
            return None  # definitions of modules and classes are not steps
        if event == "line":
            count += 1
            if count == kill_before:
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(PATIENCE_SECONDS)
        return trace

    threading.settrace(trace)
    sys.settrace(trace)
    try:
        answer: tuple[str, object] = ("value", function(*arguments))
    except MateriaError as error:
        answer = ("error", (type(error).__name__, str(error)))
    except BaseException:  # noqa: BLE001 -- the test reports every error
        answer = ("crash", traceback.format_exc())
    finally:
        sys.settrace(None)
    pipe.send((*answer, count))
