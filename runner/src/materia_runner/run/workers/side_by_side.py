"""Run several workers side by side: a thread each rents, runs and destroys its own machine.

The main thread decides everything: what is started, and what happens after a failure. It gets the
signals, and stops the other threads; it ends only when all of them have, with their machines gone.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue

from materia.errors import OrphanError

from materia_runner.planning.plan import Placement
from materia_runner.run.context import RunContext
from materia_runner.run.placement import PlacementRun
from materia_runner.run.workers.shared_sink import SharedSink
from materia_runner.signals import Interrupted, ThreadInterrupts, let_go


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt whose machine is gone, and the error that ended it, if any."""

    attempt: PlacementRun
    error: BaseException | None


@dataclass(frozen=True, slots=True)
class _Worker:
    thread: threading.Thread
    signals: ThreadInterrupts
    attempt: PlacementRun


class Workers:
    """The workers that run now; only the main thread calls the methods."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        sink = context.home_sink()
        self._sink = None if sink is None else SharedSink(sink)
        self._workers: list[_Worker] = []
        self._ended: SimpleQueue[Ended] = SimpleQueue()
        self._orphans: list[OrphanError] = []

    @property
    def running(self) -> list[Placement]:
        """The placements whose end `next_ended` has not returned yet."""
        return [one.attempt.placement for one in self._workers]

    def prepare(self, placement: Placement, *, number: int) -> _Worker:
        """Prepare an attempt, the *number*th of the run; `start` rents its machine.

        Raises:
            ArtifactError: an artifact cannot be built.
        """
        signals = ThreadInterrupts()
        context = self._context.of_worker(placement.stages[0], signals, self._sink)
        provider = context.open_provider(placement.chosen.offer.provider)
        attempt = PlacementRun(context, placement, provider, number=number)
        attempt.make_ready()
        thread = threading.Thread(target=self._go, args=(attempt,), name=f"worker {number}")
        return _Worker(thread=thread, signals=signals, attempt=attempt)

    def start(self, worker: _Worker) -> None:
        """Rent the machine of *worker* and run its stages there, in its thread."""
        with self._context.signals.held():  # a thread that runs is known, and is stopped
            worker.thread.start()
            self._workers.append(worker)

    def next_ended(self) -> Ended:
        """Wait until a worker has ended and its machine is gone."""
        ended = self._ended.get()
        self._workers = [one for one in self._workers if one.attempt is not ended.attempt]
        return ended

    def stop(self, error: BaseException) -> None:
        """Stop all workers because of *error*; each destroys its machine first."""
        number, reason = signal.SIGTERM, "ended because another worker of this run failed"
        if isinstance(error, Interrupted):
            number, reason = signal.Signals(error.number), str(error)
        for worker in self._workers:
            worker.signals.stop(Interrupted(number, reason))  # each raises one of its own

    def join(self) -> None:
        """Wait until all threads have ended.

        Raises:
            OrphanError: machines could not be destroyed; the message has all of them.
        """
        for worker in self._workers:
            worker.thread.join()
        before = sys.exception()
        if self._orphans and self._orphans != [before]:
            cause = before if before in self._orphans else None  # else it is said, too
            raise OrphanError("\n".join(map(str, self._orphans))) from cause

    def _go(self, attempt: PlacementRun) -> None:
        error: BaseException | None = None
        try:
            attempt.go(owned=False)
        except OrphanError as orphan:
            self._orphans.append(orphan)
            error = orphan
        except BaseException as other:  # noqa: BLE001 -- raised in the main thread
            error = other
        self._ended.put(Ended(attempt, error))


@contextmanager
def side_by_side(context: RunContext) -> Iterator[Workers]:
    """Context manager of workers: no thread and no machine of them is left at its end.

    When the block fails, all workers are stopped. Signals are held back in it, as one between its
    end and the stop would leave the workers to themselves: release them inside.

    Raises:
        Interrupted: a signal came; nothing is left.
        OrphanError: machines could not be destroyed.
    """
    workers = Workers(context)
    with context.signals.held():
        try:
            yield workers
        except BaseException as error:
            workers.stop(error)
            let_go(error)
            raise
        finally:
            workers.join()
