"""Graceful shutdown: turn Ctrl-C, SIGTERM and SIGHUP into an exception that can be deferred.

A signal that arrives while an instance is created or destroyed waits until that is done, so that
Ctrl-C leaves no orphan that costs money.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
# Raises what is to end a wait.
Check = Callable[[], None]

# SIGKILL cannot be caught: the worker's life line and the sweep of the next run handle it.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# How long a thread that gets no signals waits before it looks whether it is to end.
LOOK_SECONDS = 0.2


class Interrupted(BaseException):
    """A signal asks the program to end; a BaseException, so `except Exception` ignores it."""

    def __init__(self, number: int, reason: str = "") -> None:
        """End because of the signal *number*, or for a *reason* of the program's own."""
        self.number = number
        super().__init__(reason or f"ended by {signal.Signals(number).name}")

    @property
    def exit_code(self) -> int:
        """Exit code that a shell reports for a program ended by this signal."""
        return 128 + self.number


class Interrupts:
    """State of deferred signals: whether they are held back now, and the first one.

    Python delivers signals to the main thread alone. A thread that rents has `ThreadInterrupts`.
    """

    def __init__(self) -> None:
        self._held = False
        self._waiting: Interrupted | None = None

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Raise Interrupted, or remember the signal while signals are held back."""
        if self._held:
            self._waiting = self._waiting or Interrupted(number)
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
            raise self._waiting
        self._held = False

    @contextmanager
    def released(self) -> Iterator[None]:
        """Stop deferring signals for the long part of a `held` block."""
        self.let_through()
        try:
            yield
        finally:
            self._held = True

    def check(self) -> None:
        """Raise what another thread said to this one; in the main thread a signal does that."""

    def during(self, call: Callable[[], T]) -> T:
        """Call *call*, which may wait for long; an interrupt ends the wait."""
        return call()


class ThreadInterrupts(Interrupts):
    """The interrupts of a thread that gets no signals: another thread calls `stop`.

    What waits for long in this thread calls `check` again and again, or waits in `during`.
    """

    def stop(self, interrupted: Interrupted) -> None:
        """Interrupt the thread, as a signal interrupts the main thread; the first one counts."""
        self._waiting = self._waiting or interrupted

    def check(self) -> None:
        """Raise the interrupt of `stop`, unless interrupts are held back.

        Raises:
            Interrupted: `stop` was called. The clean-up that follows is not interrupted again.
        """
        if not self._held:
            self.let_through()

    def during(self, call: Callable[[], T]) -> T:
        """Call *call* in a thread that is left alone when this one is interrupted.

        Only for a call without lasting effects, as it may go on for a while.
        """
        if self._held:
            return call()
        from concurrent.futures import Future  # most commands wait for nothing

        future: Future[T] = Future()

        def answer() -> None:
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 -- raised in the thread that waits
                future.set_exception(error)

        threading.Thread(target=answer, daemon=True).start()
        return result_of(future, self.check)


def let_go(error: BaseException) -> None:
    """Close what the frames of *error* hold, such as the lock of a transaction.

    A signal may come between any two lines, also where a `with` block begins or ends. What that
    block holds is then held as long as its frame exists, and other threads wait for it.
    """
    from traceback import clear_frames

    cleared: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and all(found is not one for one in cleared):
        clear_frames(found.__traceback__)
        cleared.append(found)
        found = found.__context__


def unchecked() -> None:
    """Raise nothing: for the main thread, where a signal ends a wait by itself."""


def result_of(future: Future[T], check: Check) -> T:
    """The result of *future*, or its error, or what *check* raises meanwhile."""
    if check is unchecked:
        return future.result()
    from concurrent.futures import wait

    while not future.done():
        check()
        wait([future], LOOK_SECONDS)
    return future.result()


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
