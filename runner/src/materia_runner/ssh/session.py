"""SSH session with a rented machine: wait for SSH, copy files, run a command and follow it.

This is the synchronous interface to `connection.py`, `transfer.py` and `follow.py`, which use
asyncio. The event loop runs in its own thread, so that Python raises the exception of a signal in
the caller's thread and never inside the loop, where it would be swallowed.
"""

from __future__ import annotations

import asyncio
import codecs
import errno
import os
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from queue import Empty
from types import TracebackType
from typing import Any, Self, TypeVar

from materia.errors import StageError
from materia.kit.files import replacing

from materia_runner.signals import LOOK_SECONDS, Check, result_of, unchecked
from materia_runner.ssh import connection as ssh_connection
from materia_runner.ssh import program as ssh_program
from materia_runner.ssh import records as ssh_records
from materia_runner.ssh import transfer as ssh_copy
from materia_runner.ssh.command import CommandResult, RemoteCommand, SshTarget
from materia_runner.ssh.connection import Connection
from materia_runner.ssh.follow import Follower

T = TypeVar("T")
LONGEST_LINE = 1 << 20  # characters; a longer line comes in pieces
LONGEST_WORDS = 2000  # characters of a line in an error message


def wait_until_reachable(host: str, port: int, host_key: str | None, timeout: timedelta) -> None:
    """Wait until an SSH server with exactly that host key answers.

    While a machine boots, the SSH server of its image may answer with another host key, or the
    machine that had the address before. materia waits until that is over, and sends such a server
    nothing: it checks the key first.

    Args:
        host: Host name or IP address.
        port: Port of its SSH server.
        host_key: One line, `ssh-ed25519 AAAA...`; None accepts any SSH server.
        timeout: How long to wait from now.

    Raises:
        HostKeyError: a server with another host key still answers at the timeout.
        ReadyTimeoutError: nothing answered within *timeout*.
    """
    loop = _Loop()
    try:
        loop.call(ssh_connection.see_server(host, port, host_key, timeout))
    finally:
        loop.stop()


class Session:
    """SSH session with one instance, which reconnects after a break; a context manager.

    Use it from one thread at a time. In a thread that gets no signals, *check* of its constructor
    raises what is to end a wait. Its end closes the connection but ends no command: the worker
    ends a running command when its lease is over.
    """

    def __init__(self, target: SshTarget, *, timeout: timedelta, check: Check = unchecked) -> None:
        """Connect, with retries until *timeout*; a server with another host key gets nothing.

        Raises:
            HostKeyError: a server with another host key still answers at the timeout.
            ReadyTimeoutError: no login succeeded within *timeout*.
        """
        self._target = target
        self._check = check
        self._loop = _Loop(check)
        self._follower: Follower | None = None
        try:
            self._connection = self._loop.call(Connection.open(target, timeout))
        except BaseException:
            self._loop.stop()
            raise

    def run_command(
        self,
        command: RemoteCommand,
        on_line: Callable[[str], None],
        on_error_line: Callable[[str], None] = lambda _: None,
    ) -> CommandResult:
        """Run *command* and call *on_line* with each line of its standard output as it comes.

        It calls *on_error_line* with each line of standard error. Both may copy files meanwhile,
        and call `tell`. After a break it reconnects while the command's lease lasts; no line is
        lost or repeated. When this raises, also for an exception of *on_line*, the command and
        every process that it started are ended first.

        Raises:
            StageError: the command could not start: the worker has no python3, or its disk is full.
            WorkerLostError: the worker is out of reach, or was restarted. It is unknown whether the
                command succeeded.
            HostKeyError: a server with another host key answered at the worker's address.
        """
        follower = Follower(self._connection, command)

        def erred(line: str) -> None:
            follower.last_words.append(line[-LONGEST_WORDS:])
            on_error_line(line)

        texts = {b"o": _Lines(on_line), b"e": _Lines(erred)}
        future: Future[ssh_records.Words] | None = None
        self._follower = follower
        # Copies during the command share its lease and its limit.
        self._connection.patience = command.lease
        longest = command.limit + command.grace + command.lease
        self._connection.copies_until = time.monotonic() + longest.total_seconds()
        try:
            future = self._loop.submit(follower.follow())
            future.add_done_callback(lambda _: follower.records.put(None))
            while (found := self._next(follower)) is not None:
                kind, payload, offset = found
                texts[kind].feed(payload)
                follower.acknowledge(offset)
            end = future.result()
        except BaseException:
            if future is not None:
                self._loop.submit(follower.stop())
                with suppress(Exception, CancelledError):  # the first exception matters more
                    future.result(command.grace.total_seconds() + ssh_program.STOP_SECONDS)
                future.cancel()
            raise
        finally:
            self._follower = None
            self._connection.patience = ssh_connection.PATIENCE
            self._connection.copies_until = None
        for text in texts.values():
            text.feed(b"", final=True)
        return CommandResult(
            status=end["status"],
            reason=end["reason"],
            last_words=tuple(follower.last_words),
            resumed=follower.resumed,
        )

    def _next(self, follower: Follower) -> tuple[bytes, bytes, int] | None:
        while True:
            self._check()
            with suppress(Empty):
                return follower.records.get(timeout=LOOK_SECONDS)

    def tell(self, line: str) -> None:
        """Send a line to the running command's standard input; call it from *on_line*.

        The line arrives exactly once, even if the connection breaks meanwhile.
        """
        if self._follower is None:
            raise RuntimeError("no command is running that could receive a line")
        self._follower.tell(line)

    def look(self) -> Mapping[str, Any]:
        """Facts about the worker: `home`, `python` as two numbers, `machine` as in uname.

        Raises:
            StageError: it has no python3.
            WorkerLostError: it is out of reach.
        """
        return self._loop.call(ssh_copy.ask(self._connection, {"do": "look"}, "looking at it"))

    def upload(
        self, path: Path, destination: str, *, sha256: str, unpack: bool = False
    ) -> Mapping[str, Any]:
        """Upload a file; it gets its final name only after the worker has verified its hash.

        Args:
            path: The file here.
            destination: Its path there, relative to the user's home; missing folders are created.
            sha256: SHA-256 that it must have, in hex.
            unpack: Unpack it, a tar.gz, into the folder *destination*; when the folder exists
                already, nothing is sent.

        Raises:
            StageError: it arrived damaged, or the disk is full.
            WorkerLostError: the worker is out of reach.
            OSError: the file cannot be read here.
        """
        order = {"do": "receive", "path": destination, "sha256": sha256, "unpack": unpack}
        return self._well(
            self._loop.call(ssh_copy.send_file(self._connection, path, order)),
            f"cannot copy {path.name} to the worker",
        )

    def fetch(
        self, url: str, destination: str, *, sha256: str, unpack: bool = False
    ) -> Mapping[str, Any]:
        """Have the worker download a file from a URL; otherwise as `upload`."""
        order = {"do": "fetch", "path": destination, "sha256": sha256, "unpack": unpack, "url": url}
        return self._well(
            self._loop.call(ssh_copy.ask(self._connection, order, "fetching a file")),
            "the worker cannot fetch its file",
        )

    def bring(
        self, path: Path, url: str | None, destination: str, *, sha256: str
    ) -> Mapping[str, Any]:
        """Transfer a tar.gz and unpack it there; otherwise as `upload`.

        The worker downloads it from *url*; without one, or when that fails, it is uploaded.
        """
        return self._loop.call(self._bring(self._connection, path, url, destination, sha256))

    def bring_meanwhile(
        self, path: Path, url: str | None, destination: str, *, sha256: str
    ) -> Future[Mapping[str, Any]]:
        """Start what `bring` does; the future has its result or its error.

        It uses a second connection: otherwise lines for a command would wait behind 2 MB, which
        take 16 s in a slow network (1 Mbit/s, 2026-11).
        """

        async def come() -> Mapping[str, Any]:
            async with ssh_connection.another(self._target, f"copying {path.name}") as connection:
                return await self._bring(connection, path, url, destination, sha256)

        return self._loop.submit(come())

    def result_of(self, future: Future[T]) -> T:
        """The result of a future of this session, or its error."""
        return result_of(future, self._check)

    async def _bring(
        self, connection: Connection, path: Path, url: str | None, destination: str, sha256: str
    ) -> Mapping[str, Any]:
        order = {"do": "receive", "path": destination, "sha256": sha256, "unpack": True}
        outcome = await ssh_copy.bring(connection, path, url, order)
        return self._well(outcome, f"cannot copy {path.name} to the worker")

    def expect_script(self) -> None:
        """Start the agent program in advance, so that the next command starts faster."""
        self._loop.call(self._connection.expect("run"))

    def download(
        self, source: str, path: Path, *, sha256: str | None = None, most: int | None = None
    ) -> None:
        """Download a file; it gets its final name only after its hash is verified here.

        Args:
            source: Its path there, relative to the user's home.
            path: Its path here, in a folder that exists; an existing file is replaced.
            sha256: SHA-256 that it must have, in hex; None means the one that the worker computes.
            most: Largest size in bytes; None means the free disk space.

        Raises:
            StageError: it does not exist, is too large, arrived damaged, or cannot be written here.
            WorkerLostError: the worker is out of reach.
        """
        what = f"cannot copy {source} from the worker"
        with replacing(path) as part:
            copying = ssh_copy.receive_file(
                self._connection, source, part, sha256=sha256, most=most
            )
            outcome = self._well(self._loop.call(copying), what)
            if outcome["sha256"] != (sha256 or outcome["sent"]):
                raise StageError(
                    f"{self._target.host}: {what}: hash mismatch: what arrived has the hash "
                    f"{outcome['sha256']}"
                )

    def _well(self, outcome: Mapping[str, Any], what: str) -> Mapping[str, Any]:
        if outcome["error"] is not None:
            full = outcome["error"] == os.strerror(errno.ENOSPC)
            remedy = "; ask for more with disk_gib under [stages.<name>]" if full else ""
            raise StageError(f"{self._target.host}: {what}: {outcome['error']}{remedy}")
        return outcome

    def close(self) -> None:
        """Close the connection; closing again does nothing."""
        if self._loop.running:
            self._loop.call(self._connection.close())
            self._loop.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Lines:
    """Split a stream of text into lines."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, payload: bytes, *, final: bool = False) -> None:
        *lines, self._rest = (self._rest + self._decoder.decode(payload, final)).split("\n")
        for line in lines:
            self._tell(line.removesuffix("\r"))
        if len(self._rest) > LONGEST_LINE or (final and self._rest):
            self._tell(self._rest)
            self._rest = ""


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self, check: Check = unchecked) -> None:
        self._check = check
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return not self._loop.is_closed()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine* and return its result; an exception in this thread cancels it."""
        future = self.submit(coroutine)
        try:
            return result_of(future, self._check)
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        self.submit(_wind_up()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _wind_up() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()
