"""Files of a worker created by hand: SSH key, host key and address.

Each worker has a private folder, `workers/<name>` in the state folder. A worker created on another
computer has none here, so this computer has no key for it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from materia.errors import ConfigError
from materia.kit.files import write_whole
from materia_providers.cloud_init import LOGIN_USER, KeyPair

from materia_runner import codec
from materia_runner.ledger.state import State

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_NAME = 24
DEFAULT_NAME = "worker"
CARD = "worker.json"
KEY = "key"
KNOWN_HOSTS = "known_hosts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker created by hand.

    Attributes:
        name: Name of the worker; unique on this computer.
        machine: Name of the instance.
        run: ID of the run that created it.
        provider: Name of the provider; empty while none is chosen.
        region: The provider's name of the place.
        instance_type: The provider's name of the machine type.
        expires_at: Its deadline, in UTC; None while no machine is chosen.
        host: Its address; None until it can be reached.
        port: Port of its SSH server.
    """

    name: str
    machine: str
    run: str
    provider: str = ""
    region: str = ""
    instance_type: str = ""
    expires_at: datetime | None = None
    host: str | None = None
    port: int = 22


def folder_of(state: State, name: str) -> Path:
    """Folder of the worker *name*, which need not exist."""
    return state.folder / "workers" / name


def reserve(state: State, name: str | None, *, run: str) -> Worker:
    """Reserve *name* for a new worker; the default is the first free of `worker`, `worker-2`, ...

    Raises:
        ConfigError: the name is taken, or is not valid at every provider.
    """
    if name is not None and (not NAME.fullmatch(name) or len(name) > LONGEST_NAME):
        raise ConfigError(
            f"{name!r} is not a valid worker name: begin with a letter, and use at most "
            f"{LONGEST_NAME} of a-z, 0-9 and single -"
        )
    number = 1
    while True:
        chosen = name or (DEFAULT_NAME if number == 1 else f"{DEFAULT_NAME}-{number}")
        folder = folder_of(state, chosen)
        try:
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)  # atomic: the first mkdir owns the name
        except FileExistsError:
            if name is not None:
                raise ConfigError(
                    f"a worker named {name} already exists; see `materia worker list`, or run "
                    f"`materia worker destroy {name}`"
                ) from None
            number += 1
            continue
        except OSError as error:
            raise ConfigError(f"cannot create the folder {folder}: {error.strerror}") from error
        worker = Worker(name=chosen, machine=f"materia-{run}-{chosen}".lower(), run=run)
        save(state, worker)
        return worker


def save(state: State, worker: Worker) -> None:
    """Save the worker's record."""
    write_whole(folder_of(state, worker.name) / CARD, json.dumps(codec.plain(worker)), mode=0o600)


def save_keys(state: State, worker: Worker, *, key: KeyPair, host_key: str) -> None:
    """Save the login key and the host key; *host_key* is one line."""
    folder = folder_of(state, worker.name)
    write_whole(folder / KEY, key.private, mode=0o600)
    # By the machine's name: another machine may have had its address before.
    write_whole(folder / KNOWN_HOSTS, f"{worker.machine} {host_key}\n", mode=0o600)


def find(state: State, name: str) -> Worker | None:
    """The worker called *name*, or the one whose instance is."""
    for worker in workers(state):
        if name in {worker.name, worker.machine}:
            return worker
    return None


def workers(state: State) -> Iterator[Worker]:
    """All workers of this computer, by name."""
    try:
        names = sorted(path.name for path in (state.folder / "workers").iterdir())
    except OSError:
        return
    for name in names:
        try:
            text = (folder_of(state, name) / CARD).read_text(encoding="utf-8")
            worker: Worker = codec.decode(Worker, codec.parse(text), newer=True)
        except (OSError, ValueError):
            continue  # being created or removed at this moment
        yield worker


def forget(state: State, worker: Worker) -> None:
    """Remove the worker's files; idempotent."""
    shutil.rmtree(folder_of(state, worker.name), ignore_errors=True)


def forget_run(state: State, run: str) -> None:
    """Remove the files of the worker that *run* created, if any."""
    for worker in workers(state):
        if worker.run == run:
            forget(state, worker)


def ssh_command(state: State, worker: Worker) -> list[str]:
    """The start of an `ssh` command line that reaches this worker and no other machine.

    Ignores the user's ssh configuration, which could redirect the connection or trust another key.

    Raises:
        ConfigError: it has no address yet.
    """
    if worker.host is None:
        raise ConfigError(f"the worker {worker.name} is not ready: it has no address yet")
    folder = folder_of(state, worker.name)
    options = {
        "BatchMode": "yes",
        "CheckHostIP": "no",
        "ConnectTimeout": "15",
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlgorithms": "ssh-ed25519",
        "HostKeyAlias": worker.machine,
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "IdentityFile": _quoted(folder / KEY),
        "LogLevel": "ERROR",
        "ServerAliveInterval": "5",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": _quoted(folder / KNOWN_HOSTS),
    }
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    # After --, ssh parses the words behind the address as the command, never as options.
    where = ["-p", str(worker.port), "--", f"{LOGIN_USER}@{worker.host}"]
    return ["ssh", "-F", "/dev/null", *words, *where]


def _quoted(path: Path) -> str:
    """Quote a path for an ssh option: % begins a token there, and a space ends the word."""
    return '"{}"'.format(str(path).replace("%", "%%"))
