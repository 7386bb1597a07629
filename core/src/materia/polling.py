"""Ask again until something is so: the one loop that all waiting on a provider goes through."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
GROWTH = 1.25  # so what is waited for is seen at most a quarter too late


def poll(timeout: timedelta) -> Iterator[timedelta]:
    """Take turns until *timeout* is over; each turn is given the time that is left.

    There is always a first turn, and a last one when the time is over. The pauses in between grow
    from 0.05 to 2 seconds, so that a fast answer is seen at once and a slow one costs few requests;
    where there is little time, they begin at a fiftieth of it.

        for left in poll(timeout):
            if gone():
                return
        raise OrphanError(...)
    """
    deadline = time.monotonic() + timeout.total_seconds()
    pause = min(FIRST_PAUSE, timeout.total_seconds() / 50)
    while (left := deadline - time.monotonic()) > 0:
        yield timedelta(seconds=left)
        time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
        pause = min(pause * GROWTH, LONGEST_PAUSE)
    yield timedelta(0)
