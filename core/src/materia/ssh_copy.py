"""Files to a worker and from it, over as many connections as it takes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from materia.errors import StageError
from materia.ssh_connection import Connection, Words, broken, lost, once_more, read_record

if TYPE_CHECKING:
    from materia.ssh_connection import Process

COPY_ATTEMPTS = 3
CHUNK_BYTES = 1 << 18


async def ask(connection: Connection, order: Words, what: str) -> Words:
    """The outcome of an order that needs nothing more from here.

    Raises:
        WorkerLostError: the connection cannot be made again, or breaks each time.
    """

    async def attempt(process: Process) -> Words:
        return await _outcome(process, connection)

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
    """Copy a file there, from its start again when the connection breaks; the outcome.

    Raises:
        WorkerLostError: the connection cannot be made again, or breaks each time.
        OSError: it cannot be read here.
    """
    with path.open("rb") as file:
        order = {**order, "bytes": os.fstat(file.fileno()).st_size}

        async def attempt(process: Process) -> Words:
            if order["unpack"]:
                _, payload = await read_record(process, connection.login)
                if not json.loads(payload)["wanted"]:
                    return await _outcome(process, connection)
            file.seek(0)
            # A refusal ends the courier before it has read all; its reason is still to be read.
            with suppress(*broken()):
                while block := file.read(CHUNK_BYTES):
                    process.stdin.write(block)
                    await process.stdin.drain()
            return await _outcome(process, connection)

        return await _each_time(connection, order, attempt, f"copying {path.name}")


async def receive_file(connection: Connection, source: str, part: Path) -> Words:
    """Copy a file from there to *part*, from its start again when the connection breaks.

    Returns the outcome: `error`, or `sha256` of what was written here and `sent` of what was read
    there.

    Raises:
        StageError: it cannot be written here.
        WorkerLostError: the connection cannot be made again, or breaks each time.
    """

    async def attempt(process: Process) -> Words:
        kind, payload = await read_record(process, connection.login)
        words: Words = json.loads(payload)
        if kind != b"s":
            return words
        with _written(part) as write:
            found = await _receive(process, words["bytes"], write)
        outcome = await _outcome(process, connection)
        return {**outcome, "sent": outcome.get("sha256"), "sha256": found}

    order: Words = {"do": "send", "path": source}
    return await _each_time(connection, order, attempt, f"copying {source}")


async def _receive(process: Process, size_bytes: int, write: Callable[[bytes], object]) -> str:
    digest = hashlib.sha256()
    left = size_bytes
    while left:
        block = await process.stdout.read(min(left, CHUNK_BYTES))
        if not block:
            raise EOFError("it broke off")
        digest.update(block)
        write(block)
        left -= len(block)
    return digest.hexdigest()


@contextmanager
def _written(path: Path) -> Iterator[Callable[[bytes], object]]:
    """A function that writes to *path*; an error of this disk is told apart from the network's."""

    def write(block: bytes) -> None:
        try:
            file.write(block)
        except OSError as error:
            raise _full(path, error) from error

    try:
        file = path.open("wb", buffering=0)
    except OSError as error:
        raise _full(path, error) from error
    with file:
        yield write


def _full(path: Path, error: OSError) -> StageError:
    return StageError(f"{path}: cannot be written here: {error.strerror or error}")


async def _each_time(
    connection: Connection,
    order: Words,
    attempt: Callable[[Process], Awaitable[Words]],
    what: str,
) -> Words:
    left = COPY_ATTEMPTS
    while True:
        number = connection.number
        try:
            process = await connection.launch(order)
            try:
                outcome = await attempt(process)
            except BaseException:
                process.close()
                raise
            if outcome["error"] is None:
                connection.give_back(process, number)
            else:
                process.close()  # it has ended
        except broken() as error:
            left -= 1
            if not left:
                raise lost(connection.login, what, error) from error
            await once_more(connection, connection.patience, number, what)
        else:
            return outcome


async def _outcome(process: Process, connection: Connection) -> Words:
    _, payload = await read_record(process, connection.login)
    words: Words = json.loads(payload)
    return words
