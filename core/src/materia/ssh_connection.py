"""One connection to a worker, and a script followed over as many as it takes: core's asyncio.

What asyncssh does not say by itself, measured with 2.24.1: `run` and `wait` *return* when the
connection is lost, with `exit_status=None`, so an end is only believed as a record that the
launcher sent; `env=` is dropped silently by a stock server, so nothing is passed that way; and
~/.ssh/config and the user's agent take part unless they are kept out.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self, TypeVar

from materia.bootstrap import LOGIN_USER
from materia.errors import HostKeyError, ReadyTimeoutError, StageError, WorkerLostError
from materia.script import Login, Script

if TYPE_CHECKING:
    import asyncssh

T = TypeVar("T")
DIAL_SECONDS = 4.0  # for TCP alone: a lost SYN is sent again after 1, 3 and 7 seconds
ATTEMPT_SECONDS = 15.0  # for a whole login, on a machine that is busy with its boot
STOP_SECONDS = 5.0  # for the word that something has ended
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 0.25
# The only kind we make; a server that has no such key cannot be ours.
HOST_KEY_KIND = "ssh-ed25519"
# A dead connection is noticed after 20 s; an outage of 15 s is survived.
KEEPALIVE_SECONDS = 5
KEEPALIVE_COUNT = 3
COPY_PATIENCE = timedelta(seconds=60)
COPY_ATTEMPTS = 3
CHUNK_BYTES = 1 << 18
# What the worker holds at most for a far side that does not answer; its script then waits.
WINDOW_BYTES = 8 << 20
LAST_WORDS = 50
# The launcher itself comes on standard input: arguments are for everybody to see, and it is long.
START = """exec python3 -ISc 'import os
text = b""
while len(text) < {bytes}: text += os.read(0, {bytes} - len(text)) or os._exit(66)
exec(compile(text, "materia-launcher", "exec"))'"""
Words = dict[str, Any]


async def see_server(host: str, port: int, host_key: str | None, limit: timedelta) -> None:
    """Return once a server with that host key answers; None takes any SSH server."""

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
        raise ConnectionError("what listens there is no SSH server")


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
        "keepalive_interval": KEEPALIVE_SECONDS,
        "keepalive_count_max": KEEPALIVE_COUNT,
    }


async def _until(attempt: Callable[[], Awaitable[T]], where: str, limit: timedelta) -> T:
    """What *attempt* returns when it first succeeds.

    Raises:
        ReadyTimeoutError: it did not, within *limit*.
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

    waited = f"{limit.total_seconds():.3g} s"
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


class Connection:
    """A connection to one worker, which can be made again."""

    def __init__(self, login: Login, connection: asyncssh.SSHClientConnection) -> None:
        self.login = login
        self._connection = connection

    @classmethod
    async def open(cls, login: Login, limit: timedelta) -> Self:
        """Connect, trying until *limit*."""
        return cls(login, await _log_in(login, limit))

    async def again(self, limit: timedelta) -> None:
        """Connect once more, in the place of a connection that broke."""
        await self.close()
        self._connection = await _log_in(self.login, limit)

    async def close(self) -> None:
        """Hang up."""
        self._connection.abort()
        await self._connection.wait_closed()

    async def launch(self, order: Words) -> asyncssh.SSHClientProcess[bytes]:
        """The launcher, started on the worker and given its order."""
        text = files("materia").joinpath("launcher.py").read_bytes()
        process: asyncssh.SSHClientProcess[bytes] = await self._connection.create_process(
            START.format(bytes=len(text)), encoding=None
        )
        given = json.dumps(order).encode()
        process.stdin.write(b"%b%d\n%b" % (text, len(given), given))
        return process

    async def send_file(
        self, path: Path, size_bytes: int, destination: str, sha256: str
    ) -> str | None:
        """Copy a file, from its start again when the connection breaks; what went wrong, or None.

        Raises:
            WorkerLostError: the connection cannot be made again, or breaks each time.
        """
        order = {"do": "receive", "path": destination, "bytes": size_bytes}
        order["sha256"] = sha256
        left = COPY_ATTEMPTS
        while True:
            try:
                return await self._send_file(path, order)
            except _broken() as error:
                left -= 1
                if not left:
                    raise _lost(self.login, f"copying {path.name}", error) from error
                await _once_more(self, COPY_PATIENCE, f"copying {path.name}")

    async def _send_file(self, path: Path, order: Words) -> str | None:
        process = await self.launch(order)
        try:
            # A refusal ends the launcher before it has read all; its reason is still to be read.
            with path.open("rb") as file, suppress(*_broken()):
                while block := file.read(CHUNK_BYTES):
                    process.stdin.write(block)
                    await process.stdin.drain()
            _, payload = await _read_record(process, self.login)
            error: str | None = json.loads(payload)["error"]
            return error
        finally:
            process.close()


class Follower:
    """A script that runs on a worker, followed over one connection after the other.

    Attributes:
        records: Kind, bytes and offset of everything it writes, then None: for another thread.
        last_words: The end of its standard error.
        resumed: How often a broken connection was resumed.
    """

    def __init__(self, connection: Connection, script: Script) -> None:
        self.records: SimpleQueue[tuple[bytes, bytes, int] | None] = SimpleQueue()
        self.last_words: deque[str] = deque(maxlen=LAST_WORDS)
        self.resumed = 0
        self._connection = connection
        self._script = script
        self._fresh = True  # until the worker has answered: it starts what it does not know yet
        self._has = 0  # bytes of its records that are here
        self._told = 0  # bytes of its records that were told, and need not be kept there
        self._asked = 0
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heard = time.monotonic()
        self._stopping = False
        self._task: asyncio.Task[Any] | None = None
        self._process: asyncssh.SSHClientProcess[bytes] | None = None

    def told(self, offset: int) -> None:
        """Say, from another thread, that everything up to *offset* was told."""
        self._told = offset
        if offset - self._asked > WINDOW_BYTES // 8 and self._loop is not None:
            self._asked = offset
            self._loop.call_soon_threadsafe(self._news.set)

    async def stop(self) -> None:
        """Have the script ended; `follow` then returns, or gives up when nobody can be told."""
        self._stopping = True
        if self._process is None:
            if self._task is not None:
                self._task.cancel()
        else:
            with suppress(*_broken()):
                self._process.stdin.write(b"stop\n")

    async def follow(self) -> Words:
        """How the script ended: `status` and `reason`."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        script = self._script
        # The worker keeps the limit; this is for one that does not.
        limit = script.limit + script.grace + script.lease
        try:
            async with asyncio.timeout(limit.total_seconds() + STOP_SECONDS):
                while True:
                    try:
                        return await self._attached()
                    except _broken() as error:
                        if self._stopping:
                            raise _lost(self._connection.login, script.id, error) from error
                        silent = timedelta(seconds=time.monotonic() - self._heard)
                        # Tried at least once: the worker itself may say what became of it.
                        left = max(script.lease - silent, timedelta(seconds=DIAL_SECONDS))
                        await _once_more(self._connection, left, script.id)
                        self.resumed += 1
        except TimeoutError as error:
            raise WorkerLostError(
                f"{self._connection.login.host}: {script.id} was not ended at its limit of "
                f"{script.limit.total_seconds():g} s, and the worker does not say why"
            ) from error

    async def _attached(self) -> Words:
        process = await self._connection.launch(self._order())
        self._process = process
        if self._stopping:
            process.stdin.write(b"stop\n")
        beats = asyncio.create_task(self._beat(process))
        try:
            return await self._listen(process)
        except BaseException:
            process.close()
            raise
        finally:
            self._process = None
            beats.cancel()

    async def _listen(self, process: asyncssh.SSHClientProcess[bytes]) -> Words:
        host = self._connection.login.host
        while True:
            kind, payload = await _read_record(process, self._connection.login)
            self._heard = time.monotonic()
            if kind == b"g":
                raise WorkerLostError(
                    f"{host}: the worker knows nothing of {self._script.id} any more: it was "
                    "started again, or it heard nothing for "
                    f"{self._script.lease.total_seconds():g} s and ended it"
                )
            self._fresh = False
            self._has += len(b"%b %d\n" % (kind, len(payload))) + len(payload)
            if kind == b"x":
                # The channel closes by itself when the worker has heard that.
                process.stdin.write(b"%d\n" % self._has)
                process.stdin.write_eof()
                end: Words = json.loads(payload)
                return end
            self.records.put((kind, payload, self._has))

    async def _beat(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        pause = min(self._script.lease.total_seconds() / 4, 5.0)
        while not process.stdin.is_closing():
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._news.wait()
            self._news.clear()
            with suppress(*_broken()):
                process.stdin.write(b"%d\n" % self._told)

    def _order(self) -> Words:
        script = self._script
        return {
            "do": "run",
            "keeper": f".materia/{script.id}",
            "fresh": self._fresh,
            "has_bytes": self._has,
            "argv": script.argv,
            "directory": script.directory,
            "input": script.input,
            "environment": dict(script.environment),
            "limit_seconds": script.limit.total_seconds(),
            "lease_seconds": script.lease.total_seconds(),
            "grace_seconds": script.grace.total_seconds(),
            "window_bytes": WINDOW_BYTES,
        }


async def _log_in(login: Login, limit: timedelta) -> asyncssh.SSHClientConnection:
    import asyncssh

    key = asyncssh.import_private_key(login.key.private)

    async def attempt() -> asyncssh.SSHClientConnection:
        options = _checked(login.host_key, user=login.user)
        line = await _dial(login.host, login.port)
        options["client_keys"] = [key]
        return await asyncssh.connect(login.host, login.port, sock=line, **options)

    return await _until(attempt, f"{login.host}:{login.port}", limit)


async def _once_more(connection: Connection, limit: timedelta, what: str) -> None:
    try:
        await connection.again(limit)
    except HostKeyError:
        raise
    except ReadyTimeoutError as error:
        raise _lost(connection.login, what, error) from error


async def _read_record(
    process: asyncssh.SSHClientProcess[bytes], login: Login
) -> tuple[bytes, bytes]:
    try:
        head = await process.stdout.readuntil(b"\n")
        kind, length = head.split()
        return kind, await process.stdout.readexactly(int(length))
    except asyncio.IncompleteReadError as error:
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait_closed()
        # None is a lost connection, and a launcher that was killed may have started something.
        if process.exit_status is not None and process.exit_status > 0:
            words = (await process.stderr.read()).decode(errors="replace").strip()
            raise StageError(
                f"{login.host}: the worker's python3 cannot start (exit code "
                f"{process.exit_status}): {words[-500:]}"
            ) from error
        raise


def _lost(login: Login, what: str, error: Exception) -> WorkerLostError:
    why = str(error) or type(error).__name__
    return WorkerLostError(f"{login.host}: the worker is out of reach, {what} was under way: {why}")


def _broken() -> tuple[type[Exception], ...]:
    """What a connection that broke is told by; never by a status."""
    import asyncssh

    return OSError, EOFError, asyncssh.Error
