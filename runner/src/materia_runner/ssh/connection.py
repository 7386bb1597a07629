"""SSH connection to a worker: host key check, keepalive, retry and reconnect.

With `transfer.py`, `follow.py` and `program.py` it is the runner's only asyncio code.

Facts about asyncssh, measured with 2.24.1: `run` and `wait` *return* when the connection is lost,
with `exit_status=None`, so only a record of the agent proves the end of a command; a default
server silently drops `env=`, so nothing is passed that way; and asyncssh uses ~/.ssh/config and the
user's agent unless they are switched off.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar

from materia.errors import HostKeyError, ReadyTimeoutError, WorkerLostError
from materia.text import duration_text
from materia_providers.cloud_init import LOGIN_USER

from materia_runner.ssh.command import SshTarget
from materia_runner.ssh.program import FILES, PROGRAMS, Program
from materia_runner.ssh.records import Words

if TYPE_CHECKING:
    import asyncssh

T = TypeVar("T")
DIAL_SECONDS = 4.0  # TCP connect timeout: a lost SYN is sent again after 1, 3 and 7 seconds
ATTEMPT_SECONDS = 15.0  # timeout of a whole login, on a machine that is busy booting
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 0.25
# The only kind that materia makes; a server without such a key is another machine.
HOST_KEY_KIND = "ssh-ed25519"
# These notice a dead connection after 20 s, and survive an outage of 15 s.
KEEPALIVE_SECONDS = 5
KEEPALIVE_COUNT = 3
PATIENCE = timedelta(seconds=60)
# materia has its own messages for a broken connection. Without a handler, the messages of the
# libraries (`socket.send() raised exception.`) would go to standard error.
for _library in ("asyncio", "asyncssh"):
    logging.getLogger(_library).addHandler(logging.NullHandler())


async def see_server(host: str, port: int, host_key: str | None, limit: timedelta) -> None:
    """Wait until a server with that host key answers; None accepts any SSH server."""

    async def attempt() -> None:
        if host_key is None:
            await _see_banner(host, port)
        else:
            await _see_host_key(host, port, host_key)

    await _until(attempt, f"{host}:{port}", limit)


async def _dial(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    reason: Exception = OSError("the name has no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        line = socket.socket(family, kind, protocol)
        line.setblocking(False)  # noqa: FBT003 -- as socket has it
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                await loop.sock_connect(line, address)
        except OSError as error:
            line.close()
            reason = error
        except BaseException:
            line.close()
            raise
        else:
            return line
    raise reason


async def _see_banner(host: str, port: int) -> None:
    with await _dial(host, port) as line:
        # RFC 4253, section 4.2: `SSH-2.0-...`
        banner = await asyncio.get_running_loop().sock_recv(line, 4)
    if banner != b"SSH-":
        raise ConnectionError("the server there is not an SSH server")


async def _see_host_key(host: str, port: int, host_key: str) -> None:
    import asyncssh

    try:
        connection = await asyncssh.connect(
            host,
            port,
            sock=await _dial(host, port),
            preferred_auth="none",
            **_checked(host_key, user=LOGIN_USER),
        )
    except asyncssh.PermissionDenied:
        return  # the host key is right; the refused login is expected without a user key
    connection.abort()
    await connection.wait_closed()


def _checked(host_key: str, *, user: str) -> dict[str, Any]:
    """Options for asyncssh: accept this host key only, use no SSH settings of this machine."""
    import asyncssh

    key = asyncssh.import_public_key(host_key)
    return {
        "username": user,
        "known_hosts": ([key], [], []),
        "server_host_key_algs": [HOST_KEY_KIND],
        # Both ends have AES in hardware: half the work of asyncssh's default (2.24.1, 2026-11).
        "encryption_algs": "^aes128-gcm@openssh.com",
        "config": None,  # ~/.ssh/config could redirect the connection
        "agent_path": None,
        "client_keys": None,
        "connect_timeout": ATTEMPT_SECONDS,
        "login_timeout": ATTEMPT_SECONDS,
        "keepalive_interval": KEEPALIVE_SECONDS,
        "keepalive_count_max": KEEPALIVE_COUNT,
    }


async def _until(attempt: Callable[[], Awaitable[T]], where: str, limit: timedelta) -> T:
    """Retry *attempt* until it succeeds, and return its result.

    Raises:
        ReadyTimeoutError: it did not succeed within *limit*.
    """
    end = time.monotonic() + limit.total_seconds()
    import asyncssh

    pause = FIRST_PAUSE_SECONDS
    reason: Exception = TimeoutError()
    while True:
        left = max(end - time.monotonic(), FIRST_PAUSE_SECONDS)
        try:
            async with asyncio.timeout(min(ATTEMPT_SECONDS, left)):
                return await attempt()
        except (OSError, asyncssh.Error) as error:
            # An attempt that was cut short by the deadline says less than the one before it.
            if not isinstance(error, TimeoutError) or left >= ATTEMPT_SECONDS:
                reason = error
        left = end - time.monotonic()
        if left <= 0:
            raise _not_ready(where, limit, reason) from reason
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)


def _not_ready(where: str, limit: timedelta, reason: Exception) -> ReadyTimeoutError:
    import asyncssh

    waited = duration_text(limit)
    if isinstance(reason, asyncssh.HostKeyNotVerifiable):
        return HostKeyError(
            f"{where}: host key mismatch for {waited}: the server does not show the host key of "
            "this instance, so nothing was sent to it. The boot may have failed, or this may be a "
            "man-in-the-middle attack: destroy the instance and create another"
        )
    if isinstance(reason, asyncssh.PermissionDenied):
        why = "it refuses the SSH key"
    elif isinstance(reason, TimeoutError):
        why = "no answer"
    elif isinstance(reason, OSError) and reason.errno:
        why = os.strerror(reason.errno).lower()
    else:
        why = str(reason) or type(reason).__name__
    return ReadyTimeoutError(f"{where} did not answer over SSH within {waited}: {why}")


class Connection:
    """A connection to one worker, which can reconnect.

    Attributes:
        target: SSH target.
        patience: How long to retry a reconnect during a copy of a file.
        copies_until: Deadline for copies, on the loop's clock; None computes one from the size.
    """

    def __init__(self, target: SshTarget, connection: asyncssh.SSHClientConnection) -> None:
        self.target = target
        self.patience = PATIENCE
        self.copies_until: float | None = None
        self._connection = connection
        self._number = 0
        self._again = asyncio.Lock()
        self._ready: dict[str, asyncio.Future[Program]] = {}  # programs that wait for an order

    @property
    def number(self) -> int:
        """Number of reconnects: distinguishes a broken connection from the one after it."""
        return self._number

    @classmethod
    async def open(cls, target: SshTarget, limit: timedelta) -> Self:
        """Connect, with retries until *limit*."""
        return cls(target, await _log_in(target, limit))

    async def again(self, limit: timedelta, number: int) -> None:
        """Reconnect, unless another task has done so since the connection had that *number*."""
        async with self._again:
            if self._number != number:
                return
            await self.close()
            self._ready.clear()
            self._connection = await _log_in(self.target, limit)
            self._number += 1

    async def close(self) -> None:
        """Close the connection."""
        self._connection.abort()
        await self._connection.wait_closed()

    async def launch(self, order: Words) -> Program:
        """Give an order to a program on the worker, to a waiting one or to a new one."""
        name = PROGRAMS.get(order["do"], FILES)
        ready = self._ready.pop(name, None)
        program = await (self._start(name) if ready is None else ready)
        program.order(order)
        return program

    async def expect(self, what: str) -> None:
        """Start the program for an order of that kind in advance, because python3 starts slowly."""
        name = PROGRAMS.get(what, FILES)
        if name not in self._ready:
            starting = self._ready[name] = asyncio.create_task(self._start(name))
            # Read its error, as nothing else does when the program is never used.
            starting.add_done_callback(lambda task: task.cancelled() or task.exception())

    def give_back(self, program: Program, number: int) -> None:
        """Keep an idle file agent for the next order, if the connection is still that *number*."""
        if number != self._number or FILES in self._ready:
            program.close()
            return
        self._ready[FILES] = asyncio.get_running_loop().create_future()
        self._ready[FILES].set_result(program)

    async def _start(self, name: str) -> Program:
        return await Program.start(self._connection, self.target, name)


async def _log_in(target: SshTarget, limit: timedelta) -> asyncssh.SSHClientConnection:
    import asyncssh

    key = asyncssh.import_private_key(target.key.private)

    async def attempt() -> asyncssh.SSHClientConnection:
        options = _checked(target.host_key, user=target.user)
        line = await _dial(target.host, target.port)
        options["client_keys"] = [key]
        return await asyncssh.connect(target.host, target.port, sock=line, **options)

    return await _until(attempt, f"{target.host}:{target.port}", limit)


@asynccontextmanager
async def another(target: SshTarget, what: str) -> AsyncIterator[Connection]:
    """A second connection to *target*, for *what*.

    Raises:
        HostKeyError: a server with another host key answers there now.
        WorkerLostError: no login succeeded for a minute.
    """
    try:
        connection = await Connection.open(target, PATIENCE)
    except HostKeyError:
        raise
    except ReadyTimeoutError as error:
        raise lost(target, what, error) from error
    try:
        yield connection
    finally:
        await connection.close()


async def once_more(connection: Connection, limit: timedelta, number: int, what: str) -> None:
    """Reconnect after the connection of that *number* broke and interrupted *what*.

    Raises:
        HostKeyError: a server with another host key answers there now.
        WorkerLostError: no login succeeded within *limit*.
    """
    try:
        await connection.again(limit, number)
    except HostKeyError:
        raise
    except ReadyTimeoutError as error:
        raise lost(connection.target, what, error) from error


def lost(target: SshTarget, what: str, error: Exception) -> WorkerLostError:
    """The error for a worker that can no longer be reached."""
    why = str(error) or type(error).__name__
    return WorkerLostError(
        f"{target.host}: the worker is out of reach, the connection broke during {what}: {why}"
    )


def broken() -> tuple[type[Exception], ...]:
    """The exceptions of a broken connection; an exit status never means that."""
    import asyncssh

    return OSError, EOFError, asyncssh.Error
