"""Cache answers of a service for one command, so that it asks the same question once.

A run compares offers for two or three stages. Price lists and lists of instance types are the same
for all of them, and some have several megabytes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from datetime import timedelta
from typing import Any, TypeVar

__all__ = ["Once", "unkept"]

T = TypeVar("T")
KEPT_FOR = timedelta(minutes=1)


class Once:
    """Cache of recent answers; safe to use from several threads."""

    def __init__(self, kept_for: timedelta = KEPT_FOR) -> None:
        """Start with an empty cache.

        Args:
            kept_for: How long an answer is used again; zero turns the cache off.
        """
        self._seconds = kept_for.total_seconds()
        self._lock = threading.Lock()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._answers: dict[Hashable, tuple[float, Any]] = {}

    def ask(self, question: Hashable, call: Callable[[], T]) -> T:
        """The answer of *call*, or the cached answer to the same *question*.

        A thread that asks while another asks the same question waits for that answer. Errors are
        not cached.
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
    """A cache that keeps nothing and asks every time: for a plugin that stays open for long."""
    return Once(timedelta(0))
