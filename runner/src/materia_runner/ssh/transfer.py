"""Files to a worker and from it, over as many connections as it takes.

A copy that breaks off goes on where it stopped. What counts at the end is the hash of the whole:
when that of a file in several pieces is wrong, it is copied once more from its start.
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

COPY_ATTEMPTS = 3  # in a row of which none brings anything
CHUNK_BYTES = 1 << 18
# How long one copy may take in all, with its breaks: a machine is paid for meanwhile. The speed is
# far below that of a telephone line of 2026; nothing but a machine that stands still is slower.
LEAST_SECONDS = 300.0
LEAST_BYTES_A_SECOND = 50_000


class Way:
    """How far a copy is, over all of its connections.

    Attributes:
        bytes: That the far end is known to have.
        begin: From where on it was copied over the last connection.
    """

    def __init__(self, limit: asyncio.Timeout | None) -> None:
        self.bytes = 0
        self.begin = 0
        self._limit = limit
        self._began = asyncio.get_running_loop().time()

    def arrived(self, count: int) -> None:
        """Take note that *count* bytes are there."""
        self.bytes = max(self.bytes, count)

    def lasts(self, size: int) -> None:
        """Let a file of that *size* take its time, when nothing else says how long it may."""
        if self._limit is not None:
            end = self._began + LEAST_SECONDS + size / LEAST_BYTES_A_SECOND
            self._limit.reschedule(end)


Attempt = Callable[[Program, Way], Awaitable[Words]]


async def ask(connection: Connection, order: Words, what: str) -> Words:
    """The outcome of an order that needs nothing more from here.

    Raises:
        WorkerLostError: the connection cannot be made again, or breaks each time.
    """

    async def attempt(program: Program, way: Way) -> Words:
        kind, payload = await program.record(b"wr")
        if kind == b"w":  # of a file that the worker fetches
            way.arrived(program.read(wanted_of, payload) or 0)
            return await program.values(b"r", outcome_of)
        return program.read(outcome_of, payload)

    return await _each_time(connection, order, attempt, what)


async def bring(connection: Connection, path: Path, url: str | None, order: Words) -> Words:
    """Have the worker fetch a file from *url*, or copy it there when that cannot be; the outcome.

    Raises:
        WorkerLostError: the connection cannot be made again, or breaks each time.
        OSError: it cannot be read here.
    """
    if url is not None:
        outcome = await ask(connection, {**order, "do": "fetch", "url": url}, "fetching a file")
        if outcome["error"] is None:
            return outcome
    return await send_file(connection, path, order)


async def send_file(connection: Connection, path: Path, order: Words) -> Words:
    """Copy a file there; the outcome.

    Raises:
        WorkerLostError: the connection cannot be made again, or breaks each time.
        OSError: it cannot be read here.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        # What is there already is not asked at first: it would take a round trip for each file.
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
            # A refusal ends the file agent before it has read all; its reason is still to be read.
            with suppress(*broken()):
                while block := file.read(CHUNK_BYTES):
                    program.write(block)
                    await program.drain()
                    await asyncio.sleep(0)  # a break is heard of in between alone
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
    """Copy a file from there to *part*, unless it has more than *most* bytes.

    Returns the outcome: `error`, or `sha256` of what was written here and `sent` of what was read
    there.

    Raises:
        StageError: it is too large, or cannot be written here.
        WorkerLostError: the connection cannot be made again, or breaks each time.
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
                f"bytes, and no more than {most:,} are taken"
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
        order["begin"] = 0  # should it be copied once more
        return {**outcome, "sent": sent, "sha256": found, "torn": found != (sha256 or sent)}

    return await _each_time(connection, order, attempt, f"copying {source}")


def _opened(path: Path, begin: int, size: int) -> BinaryIO:
    """The part, to be written from *begin* on; there is room for the rest of it."""
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
    """Write it; an error of this disk is not taken for one of the network."""
    try:
        rest = memoryview(block)
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise _full(path, error) from error


def _full(path: Path, error: OSError) -> StageError:
    return StageError(f"{path}: cannot be written here: {error.strerror or error}")


async def _each_time(connection: Connection, order: Words, attempt: Attempt, what: str) -> Words:
    """What comes of *attempt*, which is made again when the connection breaks.

    One that brought something does not use up the tries.
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
            f"{connection.target.host}: the worker is given up: {what} takes too long"
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
