"""Reach a rented machine over SSH, wait for it, copy files, run a command and follow it.

This is the plain side of `ssh_connection`, `ssh_copy` and `ssh_follow`, where all of core's asyncio
is. The event loop runs in a thread of its own: a signal that Python turns into an exception is
raised in the caller's thread and never inside the loop, where it would be swallowed.
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
from types import TracebackType
from typing import Any, Self, TypeVar

from materia.errors import StageError
from materia.kit.files import replacing

from materia_runner.ssh import connection as ssh_connection
from materia_runner.ssh import program as ssh_program
from materia_runner.ssh import records as ssh_records
from materia_runner.ssh import transfer as ssh_copy
from materia_runner.ssh.command import CommandResult, RemoteCommand, SshTarget
from materia_runner.ssh.connection import Connection
from materia_runner.ssh.follow import Follower

T = TypeVar("T")
LONGEST_LINE = 1 << 20  # characters; a longer one is told in pieces
LONGEST_WORDS = 2000  # of a line that stands in an error


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
    loop = _Loop()
    try:
        loop.call(ssh_connection.see_server(host, port, host_key, timeout))
    finally:
        loop.stop()


class Session:
    """A connection to one instance, made again when it breaks; a context manager.

    Used from one thread at a time. Being left closes the connection and ends no command: one that
    runs is ended by the worker, when its lease is over.
    """

    def __init__(self, target: SshTarget, *, timeout: timedelta) -> None:
        """Connect, trying until *timeout*, and send nothing to any other host key.

        Raises:
            HostKeyError: the time is over, and a server with another key answers.
            ReadyTimeoutError: the time is over, and nobody lets us in.
        """
        self._target = target
        self._loop = _Loop()
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

        *on_error_line* is called with those of its standard error. Both may copy files meanwhile,
        and call `tell`. A connection that breaks is made again while the command's lease lasts; no
        line is lost or told twice. When this is left by an exception, also one that *on_line*
        raises, the command and all that it started are ended first.

        Raises:
            StageError: it could not be started: the worker has no python3, or no room.
            WorkerLostError: the worker is out of reach, or was started again. Whether the command
                succeeded is not known.
            HostKeyError: another host key answered where the worker was.
        """
        follower = Follower(self._connection, command)

        def erred(line: str) -> None:
            follower.last_words.append(line[-LONGEST_WORDS:])
            on_error_line(line)

        texts = {b"o": _Lines(on_line), b"e": _Lines(erred)}
        future: Future[ssh_records.Words] | None = None
        self._follower = follower
        # Files that are copied meanwhile are for it.
        self._connection.patience = command.lease
        longest = command.limit + command.grace + command.lease
        self._connection.copies_until = time.monotonic() + longest.total_seconds()
        try:
            future = self._loop.submit(follower.follow())
            future.add_done_callback(lambda _: follower.records.put(None))
            while (found := follower.records.get()) is not None:
                kind, payload, offset = found
                texts[kind].feed(payload)
                follower.told(offset)
            end = future.result()
        except BaseException:
            if future is not None:
                self._loop.submit(follower.stop())
                with suppress(Exception, CancelledError):  # what led here says more
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

    def tell(self, line: str) -> None:
        """Give the running command a line on its standard input; called by what it told a line.

        It arrives once, also when the connection breaks meanwhile.
        """
        if self._follower is None:
            raise RuntimeError("no script runs that could be told anything")
        self._follower.tell(line)

    def look(self) -> Mapping[str, Any]:
        """Facts about the worker: `home`, `python` as two numbers, `machine` as uname has it.

        Raises:
            StageError: it has no python3.
            WorkerLostError: it is out of reach.
        """
        return self._loop.call(ssh_copy.ask(self._connection, {"do": "look"}, "looking at it"))

    def upload(
        self, path: Path, destination: str, *, sha256: str, unpack: bool = False
    ) -> Mapping[str, Any]:
        """Copy a file to the worker, under that name only once its hash was verified there.

        Args:
            path: The file here.
            destination: Its name there, relative to the user's home; folders are made.
            sha256: What it must be, in hex.
            unpack: It is a tar.gz, and *destination* a folder made of what is inside. When that is
                there already nothing is sent.

        Raises:
            StageError: it did not arrive whole, or there is no room for it.
            WorkerLostError: the worker is out of reach.
            OSError: it cannot be read here.
        """
        order = {"do": "receive", "path": destination, "sha256": sha256, "unpack": unpack}
        return self._well(
            self._loop.call(ssh_copy.send_file(self._connection, path, order)),
            f"cannot copy {path.name} to the worker",
        )

    def fetch(
        self, url: str, destination: str, *, sha256: str, unpack: bool = False
    ) -> Mapping[str, Any]:
        """Have the worker itself get a file from an address; otherwise as `upload`."""
        order = {"do": "fetch", "path": destination, "sha256": sha256, "unpack": unpack, "url": url}
        return self._well(
            self._loop.call(ssh_copy.ask(self._connection, order, "fetching a file")),
            "the worker cannot fetch its file",
        )

    def bring(
        self, path: Path, url: str | None, destination: str, *, sha256: str
    ) -> Mapping[str, Any]:
        """Bring a tar.gz there and unpack it; otherwise as `upload`.

        The worker fetches it from *url*; it is copied when there is none, or that fails.
        """
        return self._loop.call(self._bring(self._connection, path, url, destination, sha256))

    def bring_meanwhile(
        self, path: Path, url: str | None, destination: str, *, sha256: str
    ) -> Future[Mapping[str, Any]]:
        """Begin what `bring` does; the future has what that returns or raises.

        Over a connection of its own: what a command is told would be in line behind 2 MB, which
        takes 16 s where the network is slow (1 Mbit/s, 2026-11).
        """

        async def come() -> Mapping[str, Any]:
            async with ssh_connection.another(self._target, f"copying {path.name}") as connection:
                return await self._bring(connection, path, url, destination, sha256)

        return self._loop.submit(come())

    async def _bring(
        self, connection: Connection, path: Path, url: str | None, destination: str, sha256: str
    ) -> Mapping[str, Any]:
        order = {"do": "receive", "path": destination, "sha256": sha256, "unpack": True}
        outcome = await ssh_copy.bring(connection, path, url, order)
        return self._well(outcome, f"cannot copy {path.name} to the worker")

    def expect_script(self) -> None:
        """Start what starts a command: when one is run next, that takes less time."""
        self._loop.call(self._connection.expect("run"))

    def download(
        self, source: str, path: Path, *, sha256: str | None = None, most: int | None = None
    ) -> None:
        """Copy a file from the worker, under that name only once its hash was verified here.

        Args:
            source: Its name there, relative to the user's home.
            path: Its name here, in a folder that exists; what was there is replaced.
            sha256: What it must be, in hex; None means what it is there.
            most: How many bytes it may have; None means as many as there is room for.

        Raises:
            StageError: it is not there, is too large, did not arrive whole, or cannot be written
                here.
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
                    f"{self._target.host}: {what}: what arrived has the hash {outcome['sha256']}"
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
    """Text that comes in pieces, told by line."""

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

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return not self._loop.is_closed()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Its result; it is cancelled when this is left by an exception from elsewhere."""
        future = self.submit(coroutine)
        try:
            return future.result()
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
