"""SSH server with asyncssh in a separate process, where OpenSSH cannot run.

It accepts the users in its order with their keys and runs their commands in their home folders.
Like a standard OpenSSH server it ignores the client's environment variables, and commands continue
when a connection breaks. There is no sandbox: commands see this machine.

    python -m materia_testing.emulation.ssh_machines.stand_in FOLDER

The folder has `order.json`. The process ends with its standard input, and all its children with it;
SIGUSR1 breaks all connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import asyncssh

from materia_testing.emulation.ssh_machines.processes import adopt_orphans, descendants

CHUNK = 65536


class _Server(asyncssh.SSHServer):
    def __init__(
        self, keys: dict[str, str], connections: set[asyncssh.SSHServerConnection]
    ) -> None:
        self._keys = keys
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        keys = self._keys.get(username, "")
        self._connection.set_authorized_keys(asyncssh.import_authorized_keys(keys))
        return True


async def _serve(folder: Path, order: dict[str, Any]) -> None:
    await asyncio.sleep(order["boot_seconds"])
    keys = {user["name"]: "".join(f"{key}\n" for key in user["keys"]) for user in order["users"]}
    connections: set[asyncssh.SSHServerConnection] = set()

    async def run(process: asyncssh.SSHServerProcess[bytes]) -> None:
        user = process.get_extra_info("username")
        await _run(process, _home(folder, user), user)

    server = await asyncssh.listen(
        order["host"],
        order["port"],
        server_factory=lambda: _Server(keys, connections),
        server_host_keys=[asyncssh.import_private_key(order["host_key"])],
        process_factory=run,
        encoding=None,
        sftp_factory=True,
    )

    def cut() -> None:
        for connection in list(connections):
            connection.abort()

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, cut)
    for command in order["commands"]:
        words = ["/bin/sh", "-c", command] if isinstance(command, str) else command
        started = await asyncio.create_subprocess_exec(*words, cwd=_home(folder, "root"))
        await started.wait()  # cloud-init runs one after the other
    if order["power_off_minutes"] is not None:
        await asyncio.sleep(order["power_off_minutes"] * order["minute_seconds"])
        return
    await server.wait_closed()


async def _run(process: asyncssh.SSHServerProcess[bytes], home: Path, user: str) -> None:
    command = process.command
    started = subprocess.Popen(  # noqa: ASYNC220 -- asyncio's own does not expose its pipes
        ["/bin/bash", "-c", command] if command is not None else ["/bin/bash", "-l"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd=home,
        env={
            "HOME": str(home),
            "USER": user,
            "LOGNAME": user,
            "SHELL": "/bin/bash",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
        },
        start_new_session=True,
    )
    if started.stdin is None or started.stdout is None or started.stderr is None:
        raise AssertionError("all three streams are pipes")
    given = asyncio.create_task(_give(process.stdin, started.stdin))
    await asyncio.gather(
        _tell(started.stdout, process.stdout), _tell(started.stderr, process.stderr)
    )
    status = await asyncio.to_thread(started.wait)
    given.cancel()
    with contextlib.suppress(OSError, asyncssh.Error):
        if status < 0:
            process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
        else:
            process.exit(status)


async def _give(source: asyncssh.SSHReader[bytes], pipe: IO[bytes]) -> None:
    """Forward the client's input; its end or a disconnect closes the command's input."""
    with contextlib.suppress(OSError, asyncssh.Error), pipe:
        while block := await source.read(CHUNK):
            # In a thread: a command may read its input late or never.
            await asyncio.to_thread(_write, pipe, block)


def _write(pipe: IO[bytes], block: bytes) -> None:
    while block:
        block = block[pipe.write(block) :]


async def _tell(pipe: IO[bytes], target: asyncssh.SSHWriter[bytes]) -> None:
    """Forward the command's output; without a client discard it."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        with contextlib.suppress(OSError, asyncssh.Error):
            while block := await reader.read(CHUNK):
                target.write(block)
                await target.drain()
    finally:
        transport.close()


def _home(folder: Path, user: str) -> Path:
    home = folder / "home" / user
    home.mkdir(parents=True, exist_ok=True)
    return home


def _end() -> None:
    """Kill all children and end this process."""
    while left := descendants(os.getpid()):
        for process in left:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    os._exit(0)


def _hold() -> None:
    while os.read(0, 1024):
        pass
    _end()


def main() -> None:
    """Serve until standard input ends."""
    adopt_orphans()  # so that orphaned children stay descendants
    threading.Thread(target=_hold, daemon=True).start()
    folder = Path(sys.argv[1])
    order = json.loads((folder / "order.json").read_text())
    for file in order["files"]:
        raise SystemExit(f"a stand-in writes no files: {shlex.quote(file['path'])}")
    try:
        asyncio.run(_serve(folder, order))
    finally:
        _end()


if __name__ == "__main__":
    main()
