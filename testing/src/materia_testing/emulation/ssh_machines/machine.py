"""Machines for emulated instances: an SSH server each, with real processes.

    machines = SshMachines()
    with Hetzner(machines=machines) as hetzner: ...
    machines.close()

The server is OpenSSH in its own sandbox, at its own address. Where OpenSSH cannot run, an asyncssh
server replaces it, and `kind` and `why_stand_in` show that. Both follow their cloud-init user data.
A machine lives no longer than the process that made it.
"""

from __future__ import annotations

import functools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from materia_providers.cloud_init import generate_key

from materia_testing.emulation.ssh_machines import sandbox
from materia_testing.emulation.ssh_machines.boot import Booting
from materia_testing.emulation.ssh_machines.cloud_init import CloudInit, parse
from materia_testing.emulation.ssh_machines.processes import descendants

Kind = Literal["openssh", "asyncssh"]
UNPRIVILEGED_PORT = 22022  # each machine has its own address, so one port does for all
HALT_SECONDS = 5.0
# Wait for the machine to end, even after its creator died, and remove its folder.
CLEAN_UP = '"$@"; rm -rf "$FOLDER" || { sleep 0.1; rm -rf "$FOLDER"; }'


class Machine:
    """One machine, from power on to power off.

    Attributes:
        kind: The kind of its SSH server.
        host: Its own address on this machine.
        port: The port of its SSH server.
        folder: All its files; removed at power off.
    """

    def __init__(
        self,
        init: CloudInit,
        *,
        kind: Kind,
        name: str = "worker",
        boot_seconds: float = 0.0,
        minute_seconds: float = 60.0,
        disk_bytes: int | None = None,
    ) -> None:
        """Power it on; it answers shortly after *boot_seconds*.

        Args:
            init: The actions of its first boot.
            kind: The kind of its SSH server.
            name: Its host name.
            boot_seconds: Before the server starts.
            minute_seconds: How long a minute of cloud-init's `power_state` takes.
            disk_bytes: Size of /home and /var/tmp together; None: as large as this machine's disk.
                A stand-in has no limit.
        """
        self.kind = kind
        self.host = free_address()
        self.port = ssh_port()
        self.folder = Path(tempfile.mkdtemp(prefix="materia-machine-"))
        if init.host_key is None:  # like a standard image
            init = replace(init, host_key=generate_key().private)
        if kind == "openssh":
            sandbox.prepare(self.folder, init, host=self.host, port=self.port)
            command = sandbox.command(
                self.folder,
                init,
                name=name,
                boot_seconds=boot_seconds,
                minute_seconds=minute_seconds,
                disk_bytes=disk_bytes,
            )
        else:
            order = {
                "host": self.host,
                "port": self.port,
                "boot_seconds": boot_seconds,
                "minute_seconds": minute_seconds,
                **asdict(init),
            }
            (self.folder / "order.json").touch(mode=0o600)
            (self.folder / "order.json").write_text(json.dumps(order))
            module = "materia_testing.emulation.ssh_machines.stand_in"
            command = [sys.executable, "-m", module, str(self.folder)]
        self._console = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by halt
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", CLEAN_UP, "machine", *command],
            stdin=subprocess.PIPE,  # the life line: nothing writes to it
            stdout=self._console,
            stderr=self._console,
            env=_environment(self.folder),
            start_new_session=True,
        )

    def wait(self, seconds: float = 10.0) -> Self:
        """Return when its SSH server accepts connections.

        Raises:
            RuntimeError: it does not answer, or is off; the message has its console output.
        """
        end = time.monotonic() + seconds
        while self.running and time.monotonic() < end:
            with suppress(OSError), socket.create_connection((self.host, self.port), 1.0) as probe:
                if probe.recv(4) == b"SSH-":
                    return self
            time.sleep(0.005)
        raise RuntimeError(f"the {self.kind} machine does not answer:\n{self.console()}")

    @property
    def running(self) -> bool:
        """Whether the power is on."""
        return self._process.poll() is None

    def console(self) -> str:
        """The output of its SSH server and its first boot."""
        return os.pread(self._console.fileno(), 1 << 20, 0).decode(errors="replace")

    def processes(self) -> dict[int, list[str]]:
        """The arguments of all its processes, by process id on this machine."""
        return {pid: _arguments(pid) for pid in descendants(self._first())}

    def cut(self) -> None:
        """Break every connection; started commands continue without input."""
        if self.kind == "asyncssh":
            os.kill(self._first(), signal.SIGUSR1)
            return
        _signal(self._servers()[1:], signal.SIGKILL)

    def silence(self) -> None:
        """Stop all traffic in both directions; connections stay open."""
        _signal(self._servers(), signal.SIGSTOP)

    def heal(self) -> None:
        """Let traffic through again."""
        _signal(self._servers(), signal.SIGCONT)

    def freeze(self) -> None:
        """Pause every process, like a host that is out of memory."""
        _signal([*self._servers(), *self.processes()], signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume the paused processes."""
        _signal([*self._servers(), *self.processes()], signal.SIGCONT)

    def halt(self) -> None:
        """Power off: no process and no file remains; a second halt has no effect."""
        if self._process.stdin is None or self._process.stdin.closed:
            return
        left = [*descendants(self._process.pid)]
        if self.kind == "asyncssh":
            self.thaw()  # it ends its own children
        self._process.stdin.close()
        try:
            self._process.wait(HALT_SECONDS)
        except subprocess.TimeoutExpired:
            _signal([self._process.pid, *left, *descendants(self._process.pid)], signal.SIGKILL)
            self._process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)
        end = time.monotonic() + HALT_SECONDS
        while any(_lives(process) for process in left) and time.monotonic() < end:
            time.sleep(0.002)  # the kernel has not finished
        self._console.close()

    def _first(self) -> int:
        """The root process of the machine."""
        process = self._process.pid
        # sh, bwrap, bwrap as the first process of the sandbox, its init; or sh, the stand-in.
        for _ in range(3 if self.kind == "openssh" else 1):
            children = _children(process)
            if not children:
                return process
            process = children[0]
        return process

    def _servers(self) -> list[int]:
        """The processes of the SSH server: the listener, then one or two per connection."""
        if self.kind == "asyncssh":
            return [self._first()]
        return [
            pid
            for pid, arguments in self.processes().items()
            if arguments and Path(arguments[0].split(":")[0]).name.startswith("sshd")
        ]


class SshMachines:
    """Machines for emulated instances, by service and id; a context manager.

    Attributes:
        kind: `openssh`, or `asyncssh` where OpenSSH cannot run.
        why_stand_in: Why OpenSSH cannot run; None when it can.
        port: The port of every machine's SSH server: 22 where this process may use it.
        disk_bytes: Disk size of machines that boot from now on; None: no limit.
        minute_seconds: How long a minute of `power_state` takes on future machines.
    """

    def __init__(self, *, kind: Kind | None = None) -> None:
        """Make machines of that *kind*; None chooses the best available one.

        Raises:
            RuntimeError: this machine cannot run that kind.
        """
        self.why_stand_in = sandbox.why_not()
        self.kind: Kind = kind or ("asyncssh" if self.why_stand_in else "openssh")
        if self.kind == "openssh" and self.why_stand_in:
            raise RuntimeError(f"no OpenSSH machine: {self.why_stand_in}")
        self.port = ssh_port()
        self.disk_bytes: int | None = None
        self.minute_seconds = 60.0
        self._lock = threading.Lock()
        self._machines: dict[tuple[str, str], Machine] = {}

    def boot(self, instance: Booting, /) -> str:
        """Start the machine and return its address; it answers `boot_seconds` later, or never.

        Raises:
            ConfigError: the user data is not a cloud-config in JSON.
            ValueError: the user data contains an unsupported key or value.
        """
        init = parse(
            instance.user_data, login=instance.login, authorized_keys=instance.authorized_keys
        )
        machine = Machine(
            init,
            kind=self.kind,
            name=instance.name,
            boot_seconds=instance.boot_seconds,
            minute_seconds=self.minute_seconds,
            disk_bytes=self.disk_bytes,
        )
        self.halt(instance)  # a second power on: it starts from its image
        with self._lock:
            self._machines[instance.provider, instance.id] = machine
        return machine.host

    def halt(self, instance: Booting, /) -> None:
        """Power off the machine and remove its files; an unknown instance is not an error."""
        with self._lock:
            machine = self._machines.pop((instance.provider, instance.id), None)
        if machine is not None:
            machine.halt()

    def all(self) -> list[Machine]:
        """The running machines, in the order of their start."""
        with self._lock:
            return list(self._machines.values())

    def at(self, host: str) -> Machine:
        """The machine with that address.

        Raises:
            KeyError: no machine has that address.
        """
        for machine in self.all():
            if machine.host == host:
                return machine
        raise KeyError(host)

    def close(self) -> None:
        """Halt all machines."""
        with self._lock:
            machines = list(self._machines.values())
            self._machines.clear()
        for machine in machines:
            machine.halt()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def free_address() -> str:
    """A random one of 16 million loopback addresses, to avoid those of other processes."""
    return f"127.{1 + secrets.randbelow(254)}.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}"


@functools.cache
def ssh_port() -> int:
    """Port 22 if this process may listen on it, else another one for all machines."""
    with socket.socket() as trial:
        try:
            trial.bind((free_address(), 22))
        except OSError:
            return UNPRIVILEGED_PORT
    return 22


def _environment(folder: Path) -> dict[str, str]:
    """The environment for a machine's parent processes, without variables that may be secret."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**kept, "FOLDER": str(folder)}


def _children(process: int) -> list[int]:
    try:
        text = Path(f"/proc/{process}/task/{process}/children").read_text()
    except OSError:  # gone meanwhile
        return []
    return [int(word) for word in text.split()]


def _arguments(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/cmdline").read_text().rstrip("\0").split("\0")
    except OSError:  # gone meanwhile
        return []


def _lives(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _signal(processes: Iterable[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)
