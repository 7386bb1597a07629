"""Poll a provider with backoff: retry requests, wait until a machine appears, boots and answers.

All waiting for a provider goes through here. An unreadable answer proves nothing: a server error, a
rate limit, a dropped connection, the error page of a gateway, an object without its fields. So the
request is repeated until the timeout.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TypeVar

from materia._dataclass import dataclass
from materia.errors import MateriaError, ProviderError, ReadyTimeoutError
from materia.text import duration_text

__all__ = [
    "LONGEST_HEEDED",
    "Boot",
    "again",
    "await_boot",
    "heed",
    "look_for",
    "poll",
    "wait_for_port",
]

T = TypeVar("T")
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
GROWTH = 1.25  # so an event is noticed at most a quarter of the waiting time late
# A longer Retry-After is cut to this, because a machine is billed meanwhile.
LONGEST_HEEDED = timedelta(seconds=30)
# A machine is gone when it was missing for so many times the visibility delay, and from so many
# answers in a row. A new machine may be missing from answers for one such delay.
GONE_DELAYS = 3
GONE_LOOKS = 3
GREETING = b"SSH-"  # RFC 4253, section 4.2


def poll(timeout: timedelta) -> Iterator[timedelta]:
    """Poll until *timeout*, with growing pauses; each turn yields the time that is left.

    There is always a first turn, and a last one when the time is over. The pauses grow from 0.05 to
    2 seconds, so that a fast answer is seen at once and a slow one costs few requests; with a short
    timeout they start at a fiftieth of it::

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


def heed(error: Exception, left: timedelta) -> None:
    """Wait for the Retry-After of *error*: at most 30 s, and at most the time that is left."""
    if isinstance(error, ProviderError) and error.retry_after is not None:
        time.sleep(max(0.0, min(error.retry_after, LONGEST_HEEDED, left).total_seconds()))


def again(
    ask: Callable[[], T], *, passing: Callable[[ProviderError], bool], first_pause: timedelta
) -> T:
    """Retry an idempotent request: three attempts with a growing pause, then raise its error.

    Args:
        ask: Makes the request.
        passing: Whether a retry may help after this error. An error with a Retry-After of more than
            30 s is raised at once.
        first_pause: Pause before the second attempt; before the third it is three times as long.
    """
    for pause in (first_pause, 3 * first_pause):
        try:
            return ask()
        except ProviderError as error:
            wanted = error.retry_after or timedelta(0)
            if not passing(error) or wanted > LONGEST_HEEDED:
                raise
            time.sleep(max(pause, wanted).total_seconds())
    return ask()


def look_for(look: Callable[[], T | None], within: timedelta) -> T | None:
    """Poll *look* until it finds something or *within* is over; unreadable answers are retried.

    None means that the last answer was readable and had nothing.

    Raises:
        MateriaError: the last answer could not be read, so the thing may exist.
    """
    problem: Exception | None = None
    for left in poll(within):
        try:
            found = look()
        except Exception as error:  # noqa: BLE001 -- raised below when no later answer is readable
            problem = error
            heed(error, left)
            continue
        problem = None
        if found is not None:
            return found
    if problem is not None:
        raise problem
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """State of a booting machine, as the provider reports it.

    Attributes:
        state: The provider's name of the state.
        host: Address, once the machine runs and has one; None continues the wait.
        port: Port of its SSH server.
        failure: Error to raise at once, when the provider says that the machine will never answer.
    """

    state: str
    host: str | None = None
    port: int = 22
    failure: MateriaError | None = None


def wait_for_port(host: str, port: int, timeout: timedelta) -> None:
    """Wait until an SSH server answers at the port; the runner checks its host key later.

    Raises:
        ReadyTimeoutError: no SSH server answered within *timeout*.
    """
    reason = "no answer"
    for left in poll(timeout):
        try:
            with socket.create_connection(
                (host, port), max(left.total_seconds(), 1.0)
            ) as connection:
                greeting = connection.recv(len(GREETING))
        except OSError as error:
            reason = str(error.strerror or error).lower()
            continue
        if greeting == GREETING:
            return
        reason = "the server there is not an SSH server"
    raise ReadyTimeoutError(
        f"{host}:{port} did not answer over SSH within {duration_text(timeout)}: {reason}"
    )


def await_boot(
    machine: str,
    look: Callable[[], Boot | None],
    *,
    timeout: timedelta,
    settle: timedelta,
) -> Boot:
    """Wait until a machine has booted and its SSH server answers.

    The machine is billed, so only a definite answer ends the wait early: the provider says that the
    machine failed, or says repeatedly that there is no machine with that id.

    Args:
        machine: Provider, name, id and region, for messages.
        look: Asks the provider once. None means that it knows no such machine; every exception
            means that the answer could not be read.
        timeout: How long to wait from now.
        settle: How long a new machine may be missing from answers.

    Raises:
        ReadyTimeoutError: the machine does not run or answer within *timeout*, or is gone.
        MateriaError: the `failure` that *look* returned.
    """
    state, problem = "not there", ""
    missing, missed_at = 0, timeout
    for left in poll(timeout):
        try:
            boot = look()
        except Exception as error:  # noqa: BLE001 -- part of the message, when the time is over
            problem = str(error) if isinstance(error, MateriaError) else repr(error)
            missing = 0
            heed(error, left)
            continue
        problem = ""
        if boot is None:
            state = "not there"
            missed_at = missed_at if missing else left
            missing += 1
            if missing >= GONE_LOOKS and missed_at - left >= GONE_DELAYS * settle:
                raise ReadyTimeoutError(f"{machine} is gone: the provider knows no such machine")
            continue
        missing, state = 0, boot.state
        if boot.failure is not None:
            raise boot.failure
        if boot.host is not None:
            wait_for_port(boot.host, boot.port, left)
            return boot
    unread = f" (the last answer could not be read: {problem})" if problem else ""
    raise ReadyTimeoutError(f"{machine} is {state} after {duration_text(timeout)}{unread}")
