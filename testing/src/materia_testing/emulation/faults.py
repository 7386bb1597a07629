"""Fault injection: which requests to an emulated service fail, and how.

service.faults.next("POST", "/v1/servers", Fault(error="sold_out"))
service.faults.at(3, Fault(drop="after"))     # the third request from now
service.faults.cut(3, handled=True)           # ... and the line stays dead: a killed client
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from materia_testing.emulation.exchange import Answer, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """The fault of one request; fields combine.

    Attributes:
        error: Name of a documented error of the service (`Service.errors`), answered instead.
        drop: Close the connection without an answer: `before` the request has any effect, or
            `after` it had its full effect.
        slow: Seconds between the effect and the answer, by the wall clock: for a client with a
            shorter time-out the request has its effect without an answer.
        alter: A function that replaces the answer; it gets a new answer each time.
        odd: A kind of `contracts.odd_answers.spoilt`: the request has its effect, and the good
            answer is malformed in that way.
    """

    error: str | None = None
    drop: Literal["before", "after"] | None = None
    slow: float = 0.0
    alter: Callable[[Request, Answer], Answer] | None = None
    odd: str = ""


@dataclass(slots=True, kw_only=True)
class _Rule:
    fault: Fault
    number: int | None = None  # number of the request, counted from the service's start
    onwards: bool = False
    method: str = "*"
    path: str = "*"
    times: int | None = 1

    def matches(self, number: int, method: str, path: str) -> bool:
        if self.number is not None:
            return number >= self.number if self.onwards else number == self.number
        return fnmatchcase(method, self.method) and fnmatchcase(path, self.path)


class Faults:
    """The planned faults of one service; the first that matches applies."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        self._seen = 0
        self._lock = threading.Lock()

    def next(self, method: str, path: str, fault: Fault, *, times: int | None = 1) -> None:
        """Apply a fault to the next *times* requests (None: all) that match *method* and *path*.

        Both may have wildcards as in file names: `*`, `?`. The path is without its query.
        """
        self._add(_Rule(fault=fault, method=method, path=path, times=times))

    def at(self, number: int, fault: Fault, *, lasting: bool = False) -> None:
        """Apply a fault to the request with that *number*, counted from now; the next is 1.

        With *lasting* also to all later requests, until `clear`.
        """
        times = None if lasting else 1
        self._add(_Rule(fault=fault, number=self._seen + number, onwards=lasting, times=times))

    def cut(self, number: int, *, handled: bool) -> None:
        """Cut the connection at the request with that *number*, counted from now; the next is 1.

        With *handled* the request has its effect; it and all later ones get no answer, until
        `clear`. This simulates a client that was killed at that point.
        """
        self.at(number, Fault(drop="after" if handled else "before"))
        self.at(number + 1, Fault(drop="before"), lasting=True)

    def clear(self) -> None:
        """Remove all planned faults."""
        with self._lock:
            self._rules.clear()

    @property
    def pending(self) -> int:
        """The number of faults that no request has met yet; 0 proves that all were met."""
        with self._lock:
            return sum(rule.times is not None for rule in self._rules)

    @property
    def seen(self) -> int:
        """The number of requests so far."""
        return self._seen

    def meet(self, method: str, path: str) -> Fault | None:
        """Count a request and return its fault, or None; only the service calls this."""
        with self._lock:
            self._seen += 1
            for rule in self._rules:
                if rule.matches(self._seen, method, path):
                    if rule.times is not None:
                        rule.times -= 1
                        if rule.times == 0:
                            self._rules.remove(rule)
                    return rule.fault
            return None

    def _add(self, rule: _Rule) -> None:
        with self._lock:
            self._rules.append(rule)
