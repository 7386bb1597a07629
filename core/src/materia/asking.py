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
) -> list[T | None]:
    """What each question gave, in their order; None for one that took too long.

    Each is asked in a thread of its own, which is left alone when *patience* is over: a library
    that hangs delays nobody else, and the command line does not wait for it at its end.

    Args:
        questions: A name for people, and what gives the answer without raising.
        patience: How long to wait for all of them together.
        waiting: Called with the sorted names of those still to come, whenever they change.
    """
    answers: queue.SimpleQueue[tuple[int, T]] = queue.SimpleQueue()

    def ask(number: int, question: Callable[[], T]) -> None:
        answers.put((number, question()))

    for number, (_, question) in enumerate(questions):
        threading.Thread(target=ask, args=(number, question), daemon=True).start()
    results: list[T | None] = [None] * len(questions)
    pending = set(range(len(questions)))
    end = time.monotonic() + patience.total_seconds()
    try:
        while pending:
            waiting(sorted({questions[number][0] for number in pending}))
            number, answer = answers.get(timeout=max(end - time.monotonic(), 0.001))
            results[number] = answer
            pending.remove(number)
    except queue.Empty:
        pass  # of whoever is late
    finally:
        if pending:  # also after Ctrl-C
            _left_alone.set()
    return results
