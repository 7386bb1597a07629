"""Follow a command on a worker, and resume its output after a broken connection."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from datetime import timedelta
from queue import SimpleQueue
from typing import Any

from materia.errors import WorkerLostError
from materia.text import duration_text

from materia_runner.ssh.command import RemoteCommand
from materia_runner.ssh.connection import DIAL_SECONDS, Connection, broken, lost, once_more
from materia_runner.ssh.program import STOP_SECONDS, Program
from materia_runner.ssh.records import Words, end_of

# The most output that the worker buffers while the runner does not answer; then its command waits.
WINDOW_BYTES = 8 << 20
KINDS = b"oexg"
LAST_WORDS = 50


class Follower:
    """Follow one command on a worker over one connection after another.

    Attributes:
        records: Queue for another thread: kind, bytes and offset of all its output, then None.
        last_words: Last lines of its standard error.
        resumed: Number of times that a broken connection was resumed.
    """

    def __init__(self, connection: Connection, command: RemoteCommand) -> None:
        self.records: SimpleQueue[tuple[bytes, bytes, int] | None] = SimpleQueue()
        self.last_words: deque[str] = deque(maxlen=LAST_WORDS)
        self.resumed = 0
        self._connection = connection
        self._script = command
        self._fresh = True  # until the worker has answered: it starts a command it does not know
        self._has = 0  # bytes of its records received
        self._acknowledged = 0  # bytes of its records handled here, which the worker can drop
        self._asked = 0
        self._news = asyncio.Event()
        self._lines: list[bytes] = []  # for its standard input
        self._sent = 0  # number of these lines sent over this connection
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heard = time.monotonic()
        self._stopping = False
        self._task: asyncio.Task[Any] | None = None
        self._program: Program | None = None

    def acknowledge(self, offset: int) -> None:
        """Acknowledge, from another thread, all output up to *offset*."""
        self._acknowledged = offset
        if offset - self._asked > WINDOW_BYTES // 8 and self._loop is not None:
            self._asked = offset
            self._loop.call_soon_threadsafe(self._news.set)

    def tell(self, line: str) -> None:
        """Send a line to the command's standard input, from another thread."""
        self._lines.append(b"tell %d %b\n" % (len(self._lines), line.encode()))
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._news.set)

    async def stop(self) -> None:
        """End the command; `follow` then returns, or raises when the worker is out of reach."""
        self._stopping = True
        if self._program is None:
            if self._task is not None:
                self._task.cancel()
        else:
            with suppress(*broken()):
                self._program.write(b"stop\n")

    async def follow(self) -> Words:
        """Follow the command to its end: its `status` and `reason`."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        command = self._script
        # The worker enforces the limit; this timeout is for a worker that does not.
        limit = command.limit + command.grace + command.lease
        try:
            async with asyncio.timeout(limit.total_seconds() + STOP_SECONDS):
                while True:
                    number = self._connection.number
                    try:
                        return await self._attached()
                    except broken() as error:
                        if self._stopping:
                            raise lost(self._connection.target, command.id, error) from error
                        silent = timedelta(seconds=time.monotonic() - self._heard)
                        # Reconnect at least once: the worker may report how the command ended.
                        left = max(command.lease - silent, timedelta(seconds=DIAL_SECONDS))
                        await once_more(self._connection, left, number, command.id)
                        self.resumed += 1
        except TimeoutError as error:
            raise WorkerLostError(
                f"{self._connection.target.host}: the worker did not end {command.id} at its time "
                f"limit of {duration_text(command.limit)}, and does not say why"
            ) from error

    async def _attached(self) -> Words:
        program = await self._connection.launch(self._order())
        self._program = program
        self._sent = 0  # send all lines again: the worker ignores those that it has
        if self._stopping:
            program.write(b"stop\n")
        beats = asyncio.create_task(self._beat(program))
        try:
            return await self._listen(program)
        except BaseException:
            program.close()
            raise
        finally:
            self._program = None
            beats.cancel()

    async def _listen(self, program: Program) -> Words:
        host = self._connection.target.host
        while True:
            kind, payload = await program.record(KINDS)
            self._heard = time.monotonic()
            if kind == b"g":
                raise WorkerLostError(
                    f"{host}: the worker knows nothing of {self._script.id} any more: it was "
                    "restarted, or it heard nothing for "
                    f"{duration_text(self._script.lease)} and ended it"
                )
            self._fresh = False
            self._has += len(b"%b %d\n" % (kind, len(payload))) + len(payload)
            if kind == b"x":
                # The worker closes the channel after this acknowledgement.
                program.write(b"%d\n" % self._has)
                program.write_eof()
                end = program.read(end_of, payload)
                if end["reason"] == "lost":
                    raise WorkerLostError(
                        f"{host}: the worker heard nothing for "
                        f"{duration_text(self._script.lease)} and ended {self._script.id}"
                    )
                return end
            if self._has - self._acknowledged > 2 * WINDOW_BYTES:
                raise WorkerLostError(
                    f"{host}: gave up the worker, because it sends more output of "
                    f"{self._script.id} than was requested"
                )
            self.records.put((kind, payload, self._has))

    async def _beat(self, program: Program) -> None:
        pause = min(self._script.lease.total_seconds() / 4, 5.0)
        while not program.closed:
            with suppress(*broken()):
                lines = self._lines[self._sent :]
                program.write(b"%b%d\n" % (b"".join(lines), self._acknowledged))
                self._sent += len(lines)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._news.wait()
            self._news.clear()

    def _order(self) -> Words:
        command = self._script
        return {
            "do": "run",
            "keeper": f".materia/{command.id}",
            "fresh": self._fresh,
            "has_bytes": self._has,
            "argv": command.argv,
            "directory": command.directory,
            "input": command.input,
            "environment": dict(command.environment),
            "limit_seconds": command.limit.total_seconds(),
            "lease_seconds": command.lease.total_seconds(),
            "grace_seconds": command.grace.total_seconds(),
            "window_bytes": WINDOW_BYTES,
        }
