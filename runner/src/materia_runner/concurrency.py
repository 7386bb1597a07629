"""Ask several providers at once, none longer than is waited for."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")
PATIENCE = timedelta(seconds=20)
# To import an SDK: the largest takes a second on an idle machine, and many on a busy one.
OPENING_PATIENCE = timedelta(seconds=60)
_left_alone = threading.Event()


def left_alone() -> bool:
    """Whether something that was asked in this process took too long and may still be waiting.

    A plugin's own threads would then be waited for at the end of the process, so whoever ends it
    must not.
    """
    return _left_alone.is_set()


def ask_each(
    questions: Sequence[tuple[str, Callable[[], T]]],
    *,
    patience: timedelta = PATIENCE,
    waiting: Callable[[Sequence[str]], None] = lambda _: None,
    prepare: Sequence[Callable[[], object]] = (),
) -> list[T | None]:
    """What each question gave, in their order; None for one that took too long.

    Each is asked in a thread of its own, which is left alone when *patience* is over: a library
    that hangs delays nobody else, and the command line does not wait for it at its end.

    Args:
        questions: A name for people, and what gives the answer without raising.
        patience: How long to wait for all of them together, or for each after its *prepare*.
        waiting: Called with the sorted names of those still to come, whenever they change.
        prepare: What each does first, one for each question; it raises nothing. It has a time of
            its own, and *patience* with a question begins after it.
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
    """That a question is about to be asked."""


_READY = _Ready()


def _next(
    events: queue.SimpleQueue[tuple[int, T | _Ready]],
    ends: dict[int, float],
    results: list[T | None],
    seconds: float,
) -> bool:
    """Wait for an answer, or for somebody's time to be over; whether it was."""
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
