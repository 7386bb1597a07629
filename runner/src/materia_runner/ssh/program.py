"""Start an agent program on a rented machine over SSH, send it orders and read its records.

A machine's shell may print something before the program runs: a greeting in a start-up file, a
window title. materia skips all output up to a line that only the program writes. Output between the
program's records later cannot be distinguished from them, so the worker is then given up.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Self, TypeVar

from materia.errors import StageError, WorkerLostError
from materia.text import duration_text

from materia_runner.ssh.command import SshTarget
from materia_runner.ssh.records import LONGEST_HEAD, MalformedError, Words, head_of, shown

if TYPE_CHECKING:
    import asyncssh

T = TypeVar("T")
AGENT = "materia_runner.ssh.agent"
FILES = "files"
PROGRAMS = {"run": "keep_alive"}  # all other orders are for the file agent
# The modules of each program, in the order in which they import one another.
SENT = {
    "keep_alive": ("core_dumps", "records", "keep_alive"),
    FILES: ("core_dumps", "records", "partial_files", "files"),
}
STOP_SECONDS = 5.0  # wait for the report of an end
BEGIN_SECONDS = 60.0  # from login to the first output of the program, on a busy machine
PRINTED_AT_MOST = 16 << 20  # by the machine's shell, before the program begins
CHUNK_BYTES = 1 << 16
WORDS_BYTES = 2000  # of its standard error; the end has the reason
# The program itself comes on standard input: it is long, and every user can read arguments. It
# joins the two halves of the mark itself, so that a shell that echoes commands never prints it
# whole.
START = """exec python3 -ISc 'import os
text = b""
while len(text) < {bytes}: text += os.read(0, {bytes} - len(text)) or os._exit(66)
os.write(1, b"materia" + b" {mark}\\n")
exec(compile(text, "materia-launcher", "exec"))'"""
# The modules that the program imports are loaded before it runs.
LOAD = """import sys, types
for name, text in {texts!r}.items():
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
module.main()
"""
ELSE = "choose another image"


@cache
def program(name: str) -> bytes:
    """The text of a program for a worker, with the modules that it imports."""
    texts = {
        f"{AGENT}.{module}": files(AGENT).joinpath(f"{module}.py").read_text("utf-8")
        for module in SENT[name]
    }
    return LOAD.format(texts=texts).encode()


class Program:
    """One agent program on a worker, with its input and output."""

    def __init__(
        self, process: asyncssh.SSHClientProcess[bytes], target: SshTarget, mark: bytes
    ) -> None:
        self._process = process
        self._target = target
        self._mark = mark
        self._begun = False
        self._ahead = bytearray()  # received and not read yet
        self._words = b""
        # Read its standard error all the time: one full stream blocks the whole channel.
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(
        cls, connection: asyncssh.SSHClientConnection, target: SshTarget, name: str
    ) -> Self:
        """Start the program of that *name* over a connection."""
        text, mark = program(name), secrets.token_hex(8)
        process = await connection.create_process(
            START.format(bytes=len(text), mark=mark), encoding=None
        )
        process.stdin.write(text)
        return cls(process, target, f"materia {mark}\n".encode())

    def order(self, order: Words) -> None:
        """Send an order."""
        given = json.dumps(order).encode()
        self.write(b"%d\n%b" % (len(given), given))

    def write(self, text: bytes) -> None:
        """Send bytes to its standard input."""
        self._process.stdin.write(text)

    async def drain(self) -> None:
        """Wait until the send buffer has room."""
        await self._process.stdin.drain()

    def write_eof(self) -> None:
        """Close its standard input."""
        self._process.stdin.write_eof()

    @property
    def closed(self) -> bool:
        """Whether its standard input is closed."""
        return self._process.stdin.is_closing()

    def close(self) -> None:
        """Close the channel to the program."""
        self._listening.cancel()
        self._process.close()

    async def record(self, kinds: bytes) -> tuple[bytes, bytes]:
        """Read the next record, of one of *kinds*: the kind and the bytes.

        Raises:
            StageError: the program cannot run there.
            WorkerLostError: what came is not a valid record.
            EOFError, OSError, asyncssh.Error: the connection broke.
        """
        try:
            if not self._begun:
                await self._begin()
            kind, length = head_of(await self._head(), kinds)
            while len(self._ahead) < length:
                await self._more()
        except MalformedError as error:
            raise self._unreadable(error) from error
        except EOFError:
            await self._explain()
            raise
        payload = bytes(self._ahead[:length])
        del self._ahead[:length]
        return kind, payload

    async def values(self, kinds: bytes, decode: Callable[[bytes], T]) -> T:
        """Read and decode the next record; raises as `record`."""
        _, payload = await self.record(kinds)
        return self.read(decode, payload)

    def read(self, decode: Callable[[bytes], T], payload: bytes) -> T:
        """Decode the bytes of a record.

        Raises:
            WorkerLostError: the record is malformed.
        """
        try:
            return decode(payload)
        except MalformedError as error:
            raise self._unreadable(error) from error

    async def some(self, most: int) -> bytes:
        """Read some of the bytes that follow a record, at most *most*.

        Raises:
            EOFError, OSError, asyncssh.Error: the connection broke.
        """
        if not self._ahead:
            await self._more()
        block = bytes(self._ahead[:most])
        del self._ahead[:most]
        return block

    async def _begin(self) -> None:
        """Skip the output of the shell, up to the program's mark."""
        passed = 0
        try:
            async with asyncio.timeout(BEGIN_SECONDS):
                while (found := self._ahead.find(self._mark)) < 0:
                    if passed > PRINTED_AT_MOST:
                        raise StageError(self._printed(f"more than {passed >> 20} MiB"))
                    if passed and len(self._ahead) > 2 * CHUNK_BYTES:  # keep the beginning to show
                        del self._ahead[CHUNK_BYTES : -len(self._mark)]
                    passed += await self._more()
        except TimeoutError as error:
            waited = duration_text(timedelta(seconds=BEGIN_SECONDS))
            raise WorkerLostError(
                self._printed(f"for {waited} {'something' if passed else 'nothing'}")
            ) from error
        del self._ahead[: found + len(self._mark)]
        self._begun = True

    def _printed(self, what: str) -> str:
        first = f" (it begins with {shown(bytes(self._ahead))})" if self._ahead else ""
        return (
            f"{self._target.host}: the worker's shell printed {what}{first}, and did not run "
            f"materia's program; check its start-up files (.bashrc, /etc/bash.bashrc), or {ELSE}"
        )

    def _unreadable(self, error: MalformedError) -> WorkerLostError:
        return WorkerLostError(
            f"{self._target.host}: cannot read what the worker sent: {error}; another program "
            f"there writes into the output: {ELSE}, or check what the machine starts at login"
        )

    async def _head(self) -> bytes:
        while (end := self._ahead.find(b"\n", 0, LONGEST_HEAD)) < 0:
            if len(self._ahead) >= LONGEST_HEAD:
                end = len(self._ahead) - 1
                break
            await self._more()
        head = bytes(self._ahead[: end + 1])
        del self._ahead[: end + 1]
        return head

    async def _more(self) -> int:
        block = await self._process.stdout.read(CHUNK_BYTES)
        if not block:
            raise EOFError("it broke off")
        self._ahead += block
        return len(block)

    async def _listen(self) -> None:
        with suppress(OSError, EOFError, _asyncssh_error()):
            while block := await self._process.stderr.read(CHUNK_BYTES):
                self._words = (self._words + block)[-WORDS_BYTES:]

    async def _explain(self) -> None:
        """Find out whether the program failed; do nothing when only the connection broke.

        Raises:
            StageError: the program ended there; the message has its output, or the shell's.
        """
        process = self._process
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait_closed()
        status = process.exit_status
        # None is a lost connection; a program killed by a signal may have started the command.
        if status is None or status < 0 or (status == 0 and self._begun):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.wait([self._listening])
        words = self._words.decode(errors="replace").strip()
        host, code = self._target.host, f"exit code {status}"
        if self._begun:
            raise StageError(
                f"{host}: materia's program on the worker failed ({code}): {words[-500:]}"
            )
        if status == 0:
            raise StageError(self._printed("something" if self._ahead else "nothing"))
        if not words:
            words = shown(bytes(self._ahead)) if self._ahead else "it does not say why"
        raise StageError(
            f"{host}: the worker's python3 cannot start ({code}): {words[-500:]}; a worker needs "
            f"Python 3.11 or later, so {ELSE}"
        )


def _asyncssh_error() -> type[Exception]:
    import asyncssh

    return asyncssh.Error
