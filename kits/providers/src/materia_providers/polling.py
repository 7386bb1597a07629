"""Poll a provider: wait for a list to show a machine, wait for a machine to boot.

All waiting on a provider goes through here. An answer that cannot be read says nothing about what
is waited for: a server error, a rate limit, a dropped connection, a page of a gateway, an object
without its fields. So it is asked for again until the time is over.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

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
GROWTH = 1.25  # so what is waited for is seen at most a quarter too late
# A service that asks for more is not obeyed while a machine is billed.
LONGEST_HEEDED = timedelta(seconds=30)
# A machine that no look has shown for so many times the visibility delay, and in so many looks in
# a row, is gone. One that was just made is missing from answers for one such delay.
GONE_DELAYS = 3
GONE_LOOKS = 3
GREETING = b"SSH-"  # RFC 4253, section 4.2


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


def heed(error: Exception, left: timedelta) -> None:
    """Wait as long as the service asked for with *error*: at most 30 s, and what is left."""
    if isinstance(error, ProviderError) and error.retry_after is not None:
        time.sleep(max(0.0, min(error.retry_after, LONGEST_HEEDED, left).total_seconds()))


def again(
    ask: Callable[[], T], *, passing: Callable[[ProviderError], bool], first_pause: timedelta
) -> T:
    """The answer of a request that is safe to repeat: asked three times, then given up.

    Args:
        ask: Makes the request.
        passing: Whether the same request may be answered later. One whose service wants to be left
            alone for longer than 30 s is given up at once.
        first_pause: Before the second time; before the third it is three times as long.
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
    """What *look* gives, if it appears *within*; an answer that cannot be read is asked for again.

    None says that the last answer was readable, and that it is not there.

    Raises:
        MateriaError: the last answer could not be read, so it may be there.
    """
    problem: Exception | None = None
    for left in poll(within):
        try:
            found = look()
        except Exception as error:  # noqa: BLE001 -- raised below, when it is the last word
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
    """What a provider says of a machine that boots.

    Attributes:
        state: The provider's own word.
        host: The address, once the machine runs and has one; None goes on waiting.
        port: Where its SSH server listens.
        failure: Raised at once: the provider itself says that this machine will never answer.
    """

    state: str
    host: str | None = None
    port: int = 22
    failure: MateriaError | None = None


def wait_for_port(host: str, port: int, timeout: timedelta) -> None:
    """Return once an SSH server greets at that port; which one, the runner checks by its key.

    Raises:
        ReadyTimeoutError: none has when *timeout* is over.
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
        reason = "what answers is no SSH server"
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
    """Wait until a machine runs and answers at its port.

    The machine is paid for, so nothing but a definite answer ends the waiting early: the provider
    says that it failed, or says again and again that there is none of that identity.

    Args:
        machine: For messages: the provider, the name, the identity and the place.
        look: Asks once. None says that the provider knows no such machine; every exception says
            that the answer could not be read.
        timeout: From now.
        settle: How long a machine that was just made may be missing from answers.

    Raises:
        ReadyTimeoutError: it does not run or does not answer after *timeout*, or is gone.
        MateriaError: the `failure` of a look.
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
    told = f" (the last answer could not be read: {problem})" if problem else ""
    raise ReadyTimeoutError(f"{machine} is {state} after {duration_text(timeout)}{told}")
