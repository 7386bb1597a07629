"""Ask several providers in parallel, with a timeout for each."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")
PATIENCE = timedelta(seconds=20)
# Time to import an SDK: the largest takes a second on an idle machine, and many on a busy one.
OPENING_PATIENCE = timedelta(seconds=60)
_left_alone = threading.Event()


def left_alone() -> bool:
    """Whether a question in this process timed out, so that its thread may still be running.

    The process must then exit without waiting for threads of plugins.
    """
    return _left_alone.is_set()


def ask_each(
    questions: Sequence[tuple[str, Callable[[], T]]],
    *,
    patience: timedelta = PATIENCE,
    waiting: Callable[[Sequence[str]], None] = lambda _: None,
    prepare: Sequence[Callable[[], object]] = (),
) -> list[T | None]:
    """Ask all questions in parallel: their answers in order, and None for a timeout.

    Each question runs in its own thread, which is abandoned after *patience*: a library that hangs
    delays no other question, and the command line does not wait for it at its end.

    Args:
        questions: A name for people, and a function that returns the answer and never raises.
        patience: Timeout for all questions together, or for each one after its *prepare*.
        waiting: Callback with the sorted names of unanswered questions, whenever they change.
        prepare: A function to call first, one for each question, which never raises. It has its
            own timeout, and *patience* starts after it.
    """
    events: queue.SimpleQueue[tuple[int, T | _Ready]] = queue.SimpleQueue()

    def ask(number: int, question: Callable[[], T]) -> None:
        if prepare:
            prepare[number]()
            events.put((number, _READY))
        events.put((number, question()))

    seconds = patience.total_seconds()
    first = seconds + (OPENING_PATIENCE.total_seconds() if prepare else 0.0)
    ends = dict.fromkeys(range(len(questions)), time.monotonic() + first)
    for number, (_, question) in enumerate(questions):
        threading.Thread(target=ask, args=(number, question), daemon=True).start()
    results: list[T | None] = [None] * len(questions)
    late = False
    try:
        while ends:
            waiting(sorted({questions[number][0] for number in ends}))
            late = _next(events, ends, results, seconds) or late
    finally:
        if ends or late:  # also after Ctrl-C
            _left_alone.set()
    return results


class _Ready:
    """Event: the preparation is done, and the question starts."""


_READY = _Ready()


def _next(
    events: queue.SimpleQueue[tuple[int, T | _Ready]],
    ends: dict[int, float],
    results: list[T | None],
    seconds: float,
) -> bool:
    """Wait for an answer or a timeout; returns whether it was a timeout."""
    while True:
        try:
            end = min(ends.values())
            number, event = events.get(timeout=max(end - time.monotonic(), 0.001))
        except queue.Empty:
            for number in [one for one, until in ends.items() if until <= time.monotonic()]:
                del ends[number]
                return True
            continue
        if number not in ends:
            continue  # it was too late
        if isinstance(event, _Ready):
            ends[number] = time.monotonic() + seconds
            continue
        results[number] = event
        del ends[number]
        return False
