"""Machines to log in to, for tests of anything that goes over SSH."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from materia.errors import ReadyTimeoutError
from materia_providers.cloud_init import KeyPair, cloud_config, generate_key, user_data
from materia_runner.ssh.agent.keep_alive import descendants
from materia_runner.ssh.command import SshTarget
from materia_runner.ssh.session import Session, wait_until_reachable
from materia_testing.emulation.ssh_machines import sandbox
from materia_testing.emulation.ssh_machines.boot import Booting
from materia_testing.emulation.ssh_machines.machine import Kind, Machine, SshMachines

READY = timedelta(seconds=20)
SHORT = timedelta(seconds=0.4)
NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A machine that answers, and how to get in."""

    machine: Machine
    login: SshTarget
    user_data: str

    def session(self) -> Session:
        return Session(self.login, timeout=READY)

    def commands(self) -> list[list[str]]:
        """What runs on it, without its SSH server and without what is about to be gone."""
        return [words for words in self.machine.processes().values() if len(words) > 1]


def new_id() -> str:
    """An identity for a script that was not used before."""
    return f"script-{next(NUMBERS)}"


def a_user_data(login_key: KeyPair, host_key: KeyPair, **changes: object) -> str:
    now = datetime.now(UTC)
    config = cloud_config(
        login_key=login_key.public,
        host_key=host_key,
        now=now,
        expires_at=now + timedelta(hours=1),
    )
    return user_data({**config, **changes})


def boot(machines: SshMachines, **changes: object) -> Worker:
    """A worker whose machine answers."""
    key, host_key = generate_key(), generate_key()
    text = a_user_data(key, host_key, **changes)
    identity = f"i-{next(NUMBERS)}"
    host = machines.boot(Booting(provider="acme", id=identity, name=identity, user_data=text))
    machine = machines.at(host).wait()
    login = SshTarget(host=host, port=machines.port, key=key, host_key=host_key.public)
    return Worker(machine=machine, login=login, user_data=text)


def everything(worker: Worker) -> list[int]:
    """Every process that exists for the machine, its keepers included."""
    return [worker.machine._process.pid, *descendants(worker.machine._process.pid)]


def answers(worker: Worker) -> bool:
    try:
        wait_until_reachable(worker.login.host, worker.login.port, None, SHORT)
    except ReadyTimeoutError:
        return False
    return True


def lives(process: int) -> bool:
    """Whether it is there and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def one_kind() -> Kind:
    """Instead of both kinds, with `kind = one_kind`: they differ where a session is, not above."""
    return "asyncssh" if sandbox.why_not() else "openssh"
