"""Graceful shutdown: turn Ctrl-C, SIGTERM and SIGHUP into an exception that can be deferred.

A signal that arrives while an instance is created or destroyed waits until that is done, so that
Ctrl-C leaves no orphan that costs money.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# SIGKILL cannot be caught: the worker's life line and the sweep of the next run handle it.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asks the program to end; a BaseException, so `except Exception` ignores it."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"ended by {signal.Signals(number).name}")

    @property
    def exit_code(self) -> int:
        """Exit code that a shell reports for a program ended by this signal."""
        return 128 + self.number


class Interrupts:
    """State of deferred signals: whether they are held back now, and the first one."""

    def __init__(self) -> None:
        self._held = False
        self._waiting: int | None = None

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Raise Interrupted, or remember the signal while signals are held back."""
        if self._held:
            self._waiting = self._waiting or number
            return
        self._held = True  # the clean-up that follows is not interrupted by a second Ctrl-C
        raise Interrupted(number)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Defer signals in this block, and raise a deferred one at its end.

        When the block fails, its error is more important; the next `let_through` or `held` block
        raises the signal. Inside another such block it changes nothing.
        """
        if self._held:
            yield
            return
        self.let_through()
        self._held = True
        try:
            yield
        except Exception:
            self._held = False
            raise
        self.let_through()

    def let_through(self) -> None:
        """Stop deferring signals.

        Raises:
            Interrupted: a signal came meanwhile.
        """
        if self._waiting is not None:
            self._held = True
            raise Interrupted(self._waiting)
        self._held = False

    @contextmanager
    def released(self) -> Iterator[None]:
        """Stop deferring signals for the long part of a `held` block."""
        self.let_through()
        try:
            yield
        finally:
            self._held = True


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Turn SIGINT, SIGTERM and SIGHUP into Interrupted while this block runs.

    Outside the main thread Python installs no handlers, and nothing changes. A signal that was
    ignored from the start stays ignored: SIGHUP under nohup, SIGINT of a shell's background job.
    """
    state = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield state
        return
    handlers = {number: signal.getsignal(number) for number in ENDING}
    before = {number: one for number, one in handlers.items() if one != signal.SIG_IGN}
    for number in before:
        signal.signal(number, state.receive)
    try:
        yield state
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
