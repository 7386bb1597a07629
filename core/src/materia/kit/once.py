"""Ask a service the same thing once in a command, whichever needs want the answer.

A run asks each provider for two or three machines. Price lists and lists of types do not depend on
which, and some have several megabytes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from datetime import timedelta
from typing import Any, TypeVar

__all__ = [
    "Once",
    "unkept",
]

T = TypeVar("T")
KEPT_FOR = timedelta(minutes=1)


class Once:
    """Answers that were given a moment ago; safe to use from several threads."""

    def __init__(self, kept_for: timedelta = KEPT_FOR) -> None:
        """Nothing is known yet.

        Args:
            kept_for: How long an answer is used again; nothing keeps none.
        """
        self._seconds = kept_for.total_seconds()
        self._lock = threading.Lock()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._answers: dict[Hashable, tuple[float, Any]] = {}

    def ask(self, question: Hashable, call: Callable[[], T]) -> T:
        """What *call* answers, or what it answered to the same *question* a moment ago.

        Who asks while another asks the same waits for that answer. An error is not kept.
        """
        if not self._seconds:
            return call()
        with self._lock:
            lock = self._locks.setdefault(question, threading.Lock())
        with lock:
            known = self._answers.get(question)
            if known is not None and time.monotonic() - known[0] < self._seconds:
                answer: T = known[1]
                return answer
            answer = call()
            self._answers[question] = (time.monotonic(), answer)
            return answer


def unkept() -> Once:
    """One that asks every time: for who opens a plugin to use it for long."""
    return Once(timedelta(0))
