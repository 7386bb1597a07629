"""Machines as fixtures, for `pytest_plugins = ["machine_fixtures"]`.

A test that uses them runs twice: with OpenSSH, and with the stand-in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fakes.machines import Worker, boot
from materia_runner.ssh.session import Session
from materia_testing.emulation.ssh_machines import sandbox
from materia_testing.emulation.ssh_machines.machine import Kind, SshMachines


@pytest.fixture(scope="module", params=["openssh", "asyncssh"])
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    if found == "openssh" and (why := sandbox.why_not()):
        pytest.skip(why)
    return found


@pytest.fixture
def machines(kind: Kind) -> Iterator[SshMachines]:
    """Machines that a test may do anything to."""
    with SshMachines(kind=kind) as machines:
        yield machines


@pytest.fixture(scope="module")
def worker(kind: Kind) -> Iterator[Worker]:
    """A worker for the whole module, that its tests leave as they find it."""
    with SshMachines(kind=kind) as machines:
        yield boot(machines)


@pytest.fixture
def session(worker: Worker) -> Iterator[Session]:
    with worker.session() as session:
        yield session


@pytest.fixture
def booted(machines: SshMachines) -> Callable[..., Worker]:
    def start(**changes: object) -> Worker:
        return boot(machines, **changes)

    return start
