"""Clock of the emulator: runs faster than the wall clock, or advances by hand."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta


class Clock:
    """A clock that starts now and can run faster.

    All states and bills of the emulator follow it, so a boot of 30 seconds takes 0.3 s at
    *speed* 100, and a month of rent is one `advance`. At speed 0 it moves by `advance` alone.
    """

    def __init__(self, *, speed: float = 1.0, start: datetime | None = None) -> None:
        self.speed = speed
        self._start = start or datetime.now(UTC)
        self._zero = time.monotonic()
        self._advanced = timedelta(0)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The emulated time, in UTC; never goes backwards."""
        with self._lock:
            passed = (time.monotonic() - self._zero) * self.speed
            return self._start + self._advanced + timedelta(seconds=passed)

    def advance(self, by: timedelta) -> None:
        """Let *by* pass at once."""
        if by < timedelta(0):
            raise ValueError(f"time does not go back: {by}")
        with self._lock:
            self._advanced += by
