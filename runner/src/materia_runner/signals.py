"""The signals that end a program, as an exception that can be held back.

A signal that arrives while an instance is created or destroyed waits until that is done: nothing
that costs money is left because somebody was impatient.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# SIGKILL cannot be caught: the worker's life line and the sweep of the next run are for that.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The program was asked to end. Not an Exception: nobody who catches those may swallow it."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"ended by {signal.Signals(number).name}")

    @property
    def exit_code(self) -> int:
        """What a shell reports for a program that ended by this signal."""
        return 128 + self.number


class Interrupts:
    """Whether signals are held back at the moment, and the first one that was."""

    def __init__(self) -> None:
        self._held = False
        self._waiting: int | None = None

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Raise Interrupted, or remember the signal while they are held back."""
        if self._held:
            self._waiting = self._waiting or number
            return
        self._held = True  # the clean-up that follows is not interrupted by a second Ctrl-C
        raise Interrupted(number)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold signals back in this block; one that came is raised when it ends well.

        When the block fails, its error says more; the signal is raised by what goes on, at
        `let_through` or before another such block. Inside of another such block it changes nothing.
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
        """Hold signals back no longer.

        Raises:
            Interrupted: one has come meanwhile.
        """
        if self._waiting is not None:
            self._held = True
            raise Interrupted(self._waiting)
        self._held = False

    @contextmanager
    def released(self) -> Iterator[None]:
        """Let them through again, for the long part of a `held` block."""
        self.let_through()
        try:
            yield
        finally:
            self._held = True


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Turn SIGINT, SIGTERM and SIGHUP into Interrupted while this block runs.

    Outside the main thread Python installs no handlers, and nothing changes. One that was ignored
    from the start stays ignored: SIGHUP under nohup, SIGINT of a shell's background job.
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
