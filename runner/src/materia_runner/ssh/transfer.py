"""Upload and download files over SSH: resume after a break, retry, check the hash.

A broken copy resumes where it stopped. The hash of the whole file decides at the end: when it is
wrong after a resumed copy, the file is copied once more from its start.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from materia.errors import StageError, WorkerLostError

from materia_runner.ssh.connection import Connection, broken, lost, once_more
from materia_runner.ssh.program import Program
from materia_runner.ssh.records import Words, outcome_of, size_of, wanted_of

COPY_ATTEMPTS = 3  # attempts in a row without any progress
CHUNK_BYTES = 1 << 18
# Limits of one copy with its breaks, because a machine is billed meanwhile. Only a machine that
# hangs is slower than this speed.
LEAST_SECONDS = 300.0
LEAST_BYTES_A_SECOND = 50_000


class Way:
    """Progress of a copy over all of its connections.

    Attributes:
        bytes: Number of bytes that the receiver is known to have.
        begin: Offset at which the last connection started.
    """

    def __init__(self, limit: asyncio.Timeout | None) -> None:
        self.bytes = 0
        self.begin = 0
        self._limit = limit
        self._began = asyncio.get_running_loop().time()

    def arrived(self, count: int) -> None:
        """Note that *count* bytes have arrived."""
        self.bytes = max(self.bytes, count)

    def lasts(self, size: int) -> None:
        """Set the time limit for a file of that *size*, if the connection has no deadline."""
        if self._limit is not None:
            end = self._began + LEAST_SECONDS + size / LEAST_BYTES_A_SECOND
            self._limit.reschedule(end)


Attempt = Callable[[Program, Way], Awaitable[Words]]


async def ask(connection: Connection, order: Words, what: str) -> Words:
    """Send an order without data, and return its outcome.

    Raises:
        WorkerLostError: a reconnect failed, or the connection breaks each time.
    """

    async def attempt(program: Program, way: Way) -> Words:
        kind, payload = await program.record(b"wr")
        if kind == b"w":  # of a file that the worker fetches
            way.arrived(program.read(wanted_of, payload) or 0)
            return await program.values(b"r", outcome_of)
        return program.read(outcome_of, payload)

    return await _each_time(connection, order, attempt, what)


async def bring(connection: Connection, path: Path, url: str | None, order: Words) -> Words:
    """Have the worker download a file from *url*, or else upload it; returns the outcome.

    Raises:
        WorkerLostError: a reconnect failed, or the connection breaks each time.
        OSError: the file cannot be read here.
    """
    if url is not None:
        outcome = await ask(connection, {**order, "do": "fetch", "url": url}, "fetching a file")
        if outcome["error"] is None:
            return outcome
    return await send_file(connection, path, order)


async def send_file(connection: Connection, path: Path, order: Words) -> Words:
    """Upload a file; returns the outcome.

    Raises:
        WorkerLostError: a reconnect failed, or the connection breaks each time.
        OSError: the file cannot be read here.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        # The first attempt does not ask for bytes that are there: that is a round trip per file.
        order = {**order, "bytes": size, "ask": order["unpack"]}

        async def attempt(program: Program, way: Way) -> Words:
            way.lasts(size)
            way.begin = 0
            if order["ask"]:
                kind, payload = await program.record(b"wr")
                if kind == b"r":
                    return program.read(outcome_of, payload)
                has = program.read(wanted_of, payload)
                if has is None:
                    return await program.values(b"r", outcome_of)
                way.begin = min(has, size)
                way.arrived(way.begin)
            order["ask"] = True
            file.seek(way.begin)
            # After an error the file agent ends before it has read all; its reason comes below.
            with suppress(*broken()):
                while block := file.read(CHUNK_BYTES):
                    program.write(block)
                    await program.drain()
                    await asyncio.sleep(0)  # let the loop notice a broken connection
            return await program.values(b"r", outcome_of)

        return await _each_time(connection, order, attempt, f"copying {path.name}")


async def receive_file(
    connection: Connection,
    source: str,
    part: Path,
    *,
    sha256: str | None = None,
    most: int | None = None,
) -> Words:
    """Download a file to *part*, unless it has more than *most* bytes.

    Returns the outcome: `error`, or the hashes `sha256` of the file here and `sent` of the file
    there.

    Raises:
        StageError: the file is too large, or cannot be written here.
        WorkerLostError: a reconnect failed, or the connection breaks each time.
    """
    order: Words = {"do": "send", "path": source, "begin": 0}
    digest = hashlib.sha256()

    async def attempt(program: Program, way: Way) -> Words:
        nonlocal digest
        kind, payload = await program.record(b"sr")
        if kind == b"r":
            return program.read(outcome_of, payload)
        size, way.begin = program.read(size_of, payload)
        if most is not None and size > most:
            raise StageError(
                f"{connection.target.host}: cannot copy {source} from the worker: it has {size:,} "
                f"bytes, and the limit is {most:,}"
            )
        if way.begin != order["begin"]:  # another file has that name now
            order["begin"] = way.begin = 0
        way.lasts(size)
        if not way.begin:
            digest = hashlib.sha256()
        with _opened(part, way.begin, size) as file:
            while order["begin"] < size:
                block = await program.some(min(size - order["begin"], CHUNK_BYTES))
                digest.update(block)
                _write(part, file, block)
                order["begin"] += len(block)
                way.arrived(order["begin"])
        outcome = await program.values(b"r", outcome_of)
        found, sent = digest.hexdigest(), outcome.get("sha256")
        order["begin"] = 0  # in case it is copied once more
        return {**outcome, "sent": sent, "sha256": found, "torn": found != (sha256 or sent)}

    return await _each_time(connection, order, attempt, f"copying {source}")


def _opened(path: Path, begin: int, size: int) -> BinaryIO:
    """Open the part at the offset *begin*, and check that the disk has room for the rest."""
    try:
        room = shutil.disk_usage(path.parent).free
        file = path.open("r+b" if begin else "wb", buffering=0)
        file.seek(begin)
    except OSError as error:
        raise _full(path, error) from error
    if room < size - begin:
        file.close()
        raise _full(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    return file


def _write(path: Path, file: BinaryIO, block: bytes) -> None:
    """Write *block*; raise StageError for a disk error, which is not a network error."""
    try:
        rest = memoryview(block)
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise _full(path, error) from error


def _full(path: Path, error: OSError) -> StageError:
    return StageError(f"{path}: cannot be written here: {error.strerror or error}")


async def _each_time(connection: Connection, order: Words, attempt: Attempt, what: str) -> Words:
    """Retry *attempt* when the connection breaks, and return its outcome.

    An attempt with progress does not count as a failed one.
    """
    until = connection.copies_until
    try:
        async with asyncio.timeout_at(until) as limit:
            way = Way(limit if until is None else None)
            way.lasts(0)
            outcome = await _tried(connection, order, attempt, what, way)
            if outcome.get("torn") and way.begin:
                way.bytes = 0
                outcome = await _tried(connection, order, attempt, what, way)
            return outcome
    except TimeoutError as error:
        raise WorkerLostError(
            f"{connection.target.host}: timed out: {what} takes too long, gave up the worker"
        ) from error


async def _tried(
    connection: Connection, order: Words, attempt: Attempt, what: str, way: Way
) -> Words:
    left = COPY_ATTEMPTS
    while True:
        number, before = connection.number, way.bytes
        try:
            program = await connection.launch(order)
            try:
                outcome = await attempt(program, way)
            except BaseException:
                program.close()
                raise
            if outcome["error"] is None:
                connection.give_back(program, number)
            else:
                program.close()  # it has ended
        except broken() as error:
            left = COPY_ATTEMPTS if way.bytes > before else left - 1
            if not left:
                raise lost(connection.target, what, error) from error
            await once_more(connection, connection.patience, number, what)
        else:
            return outcome
