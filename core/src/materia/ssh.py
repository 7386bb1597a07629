"""Reach a rented machine over SSH: the only asyncio in core, and none of it shows outside.

The event loop runs in a thread of its own. A signal that Python turns into an exception is raised
in the caller's thread and never inside the loop, where it would be swallowed.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from materia.errors import HostKeyError, ReadyTimeoutError

T = TypeVar("T")
ATTEMPT_SECONDS = 5.0  # for one connection: a lost SYN is sent again after 1 and 3 seconds
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 0.5
# The only kind we make; a server that has no such key cannot be ours.
HOST_KEY_KIND = "ssh-ed25519"


def wait_until_reachable(host: str, port: int, host_key: str | None, timeout: timedelta) -> None:
    """Return once an SSH server with exactly that host key answers.

    While a machine boots, its image's own server may answer with another key, or the machine that
    had the address before. That is waited out, and such a server is told nothing: the key is
    checked before anything of ours is sent.

    Args:
        host: Address or name.
        port: Where its SSH server listens.
        host_key: One line, `ssh-ed25519 AAAA...`; None only looks whether an SSH server is there.
        timeout: From now.

    Raises:
        HostKeyError: the time is over, and a server with another key answers.
        ReadyTimeoutError: the time is over, and nothing answers.
    """

    async def attempt() -> None:
        if host_key is None:
            await _see_banner(host, port)
        else:
            await _see_host_key(host, port, host_key)

    with _Loop() as loop:
        loop.call(_until(attempt, f"{host}:{port}", timeout))


async def _see_banner(host: str, port: int) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        banner = await reader.read(4)  # RFC 4253, section 4.2: `SSH-2.0-...`
    finally:
        writer.transport.abort()
    if banner != b"SSH-":
        raise ConnectionError("what listens there is no SSH server")


async def _see_host_key(host: str, port: int, host_key: str) -> None:
    import asyncssh

    try:
        connection = await asyncssh.connect(
            host, port, preferred_auth="none", **_checked(host_key, user="materia")
        )
    except asyncssh.PermissionDenied:
        return  # the key was checked and is ours; that nobody logged in is what we asked for
    connection.abort()
    await connection.wait_closed()


def _checked(host_key: str, *, user: str) -> dict[str, Any]:
    """How every connection is made: that host key or none, and nothing from this machine."""
    import asyncssh

    key = asyncssh.import_public_key(host_key)
    return {
        "username": user,
        "known_hosts": ([key], [], []),
        "server_host_key_algs": [HOST_KEY_KIND],
        "config": None,  # ~/.ssh/config could send us elsewhere
        "agent_path": None,
        "client_keys": None,
        "connect_timeout": ATTEMPT_SECONDS,
        "login_timeout": ATTEMPT_SECONDS,
    }


async def _until(attempt: Callable[[], Awaitable[T]], where: str, limit: timedelta) -> T:
    """What *attempt* returns when it first succeeds.

    Raises:
        ReadyTimeoutError: it did not, within *limit*.
    """
    import asyncssh

    end = time.monotonic() + limit.total_seconds()
    pause = FIRST_PAUSE_SECONDS
    reason: Exception = TimeoutError()
    while True:
        left = max(end - time.monotonic(), FIRST_PAUSE_SECONDS)
        try:
            async with asyncio.timeout(min(ATTEMPT_SECONDS, left)):
                return await attempt()
        except (OSError, asyncssh.Error) as error:
            # An attempt that only ran out of time says less than the one before it.
            if not isinstance(error, TimeoutError) or left >= ATTEMPT_SECONDS:
                reason = error
        left = end - time.monotonic()
        if left <= 0:
            raise _not_ready(where, limit, reason) from reason
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)


def _not_ready(where: str, limit: timedelta, reason: Exception) -> ReadyTimeoutError:
    import asyncssh

    waited = f"{limit.total_seconds():g} s"
    if isinstance(reason, asyncssh.HostKeyNotVerifiable):
        return HostKeyError(
            f"{where}: what answers shows another host key than the one sent to this instance, "
            f"for {waited}; nothing was sent to it. Its boot may have failed, or somebody is "
            "between: destroy the instance and create another"
        )
    if isinstance(reason, asyncssh.PermissionDenied):
        why = "it refuses our key"
    elif isinstance(reason, TimeoutError):
        why = "no answer"
    elif isinstance(reason, OSError) and reason.errno:
        why = os.strerror(reason.errno).lower()
    else:
        why = str(reason) or type(reason).__name__
    return ReadyTimeoutError(f"{where} did not answer over SSH within {waited}: {why}")


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(_wind_up(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Its result; it is cancelled when this is left by an exception from elsewhere."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


async def _wind_up() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()
