"""What is kept here of a worker made by hand: its key, its host key, and where it is.

One folder for each, `workers/<name>` in the state folder, that nobody else may read. A worker made
on another machine has none here: who has no key gets in nowhere.
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
    """A worker made by hand.

    Attributes:
        name: What its user calls it; unique on this machine.
        machine: Name of the instance.
        run: Identity of the run that stands for its making.
        provider: Name of the provider; empty while none is chosen.
        region: The provider's own name of the place.
        instance_type: The provider's own name of the shape.
        expires_at: Its deadline, in UTC; None while no machine is chosen.
        host: Where it can be reached; None until then.
        port: Where its SSH server listens.
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
    """Where a worker of that name is kept, whether it is there or not."""
    return state.folder / "workers" / name


def reserve(state: State, name: str | None, *, run: str) -> Worker:
    """A new worker of that name; without one, the first of `worker`, `worker-2`, ... that is free.

    Raises:
        ConfigError: the name is taken, or no name that every provider takes.
    """
    if name is not None and (not NAME.fullmatch(name) or len(name) > LONGEST_NAME):
        raise ConfigError(
            f"{name!r} is no name for a worker: it begins with a letter and has at most "
            f"{LONGEST_NAME} of a-z, 0-9 and single -"
        )
    number = 1
    while True:
        chosen = name or (DEFAULT_NAME if number == 1 else f"{DEFAULT_NAME}-{number}")
        folder = folder_of(state, chosen)
        try:
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)  # the name is whose mkdir is first
        except FileExistsError:
            if name is not None:
                raise ConfigError(
                    f"there is a worker named {name} already; see `materia worker list`, or "
                    f"`materia worker destroy {name}`"
                ) from None
            number += 1
            continue
        except OSError as error:
            raise ConfigError(f"cannot make the folder {folder}: {error.strerror}") from error
        worker = Worker(name=chosen, machine=f"materia-{run}-{chosen}".lower(), run=run)
        save(state, worker)
        return worker


def save(state: State, worker: Worker) -> None:
    """Keep what is known of it now."""
    write_whole(folder_of(state, worker.name) / CARD, json.dumps(codec.plain(worker)), mode=0o600)


def save_keys(state: State, worker: Worker, *, key: KeyPair, host_key: str) -> None:
    """Keep what lets one in, and how to know the worker: *host_key* is one line."""
    folder = folder_of(state, worker.name)
    write_whole(folder / KEY, key.private, mode=0o600)
    # Known by the machine's name, not by an address that another machine had before.
    write_whole(folder / KNOWN_HOSTS, f"{worker.machine} {host_key}\n", mode=0o600)


def find(state: State, name: str) -> Worker | None:
    """The worker of that name, or whose instance has that name."""
    for worker in workers(state):
        if name in {worker.name, worker.machine}:
            return worker
    return None


def workers(state: State) -> Iterator[Worker]:
    """All that are kept here, by name."""
    try:
        names = sorted(path.name for path in (state.folder / "workers").iterdir())
    except OSError:
        return
    for name in names:
        try:
            text = (folder_of(state, name) / CARD).read_text(encoding="utf-8")
            worker: Worker = codec.decode(Worker, codec.parse(text), newer=True)
        except (OSError, ValueError):
            continue  # being made or removed at this moment
        yield worker


def forget(state: State, worker: Worker) -> None:
    """Remove what is kept of it; a second time does nothing."""
    shutil.rmtree(folder_of(state, worker.name), ignore_errors=True)


def forget_run(state: State, run: str) -> None:
    """Remove what is kept of the worker that *run* made, if it made one."""
    for worker in workers(state):
        if worker.run == run:
            forget(state, worker)


def ssh_command(state: State, worker: Worker) -> list[str]:
    """The start of an `ssh` command line that reaches this worker and no other machine.

    Nothing of the user's own configuration takes part, so nothing can lead elsewhere or trust
    another key.

    Raises:
        ConfigError: it has no address yet.
    """
    if worker.host is None:
        raise ConfigError(f"the worker {worker.name} is not ready: it was never reached")
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
    # After -- ssh takes what follows the address for the command, and never for options of its own.
    where = ["-p", str(worker.port), "--", f"{LOGIN_USER}@{worker.host}"]
    return ["ssh", "-F", "/dev/null", *words, *where]


def _quoted(path: Path) -> str:
    """A path as ssh reads it in an option: % begins a token there, and a space ends the word."""
    return '"{}"'.format(str(path).replace("%", "%%"))
