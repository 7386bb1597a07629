"""The oracle provider keeps every promise, on the real SDK against the emulated APIs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fakes.oracle_open import opened
from materia.protocols import Provider
from materia_oracle.emulator.service import Oracle
from materia_testing.contracts.provider import ProviderContract
from materia_testing.contracts.providers.promises import WaitPromises
from materia_testing.emulation import Clock
from materia_testing.emulation.contract_world import CloudWorld
from materia_testing.emulation.ssh_machines.machine import SshMachines


class TestOracle(ProviderContract):
    @pytest.fixture
    def world(self) -> Iterator[CloudWorld]:
        with Oracle(clock=Clock(speed=1000)) as service:
            yield CloudWorld(service, slow_seconds=0.9, late_seconds=0.15)

    @pytest.fixture
    def open_provider(self, world: CloudWorld) -> Callable[[], Provider]:
        return lambda: opened(cloud_of(world), patience=0.6)


class TestOracleWithMachines(WaitPromises):
    @pytest.fixture
    def machines(self) -> Iterator[SshMachines]:
        with SshMachines() as machines:
            yield machines

    @pytest.fixture
    def world(self, machines: SshMachines) -> Iterator[CloudWorld]:
        with Oracle(clock=Clock(speed=100), machines=machines) as service:
            yield CloudWorld(service)

    @pytest.fixture
    def open_provider(self, world: CloudWorld, machines: SshMachines) -> Callable[[], Provider]:
        return lambda: opened(cloud_of(world), ssh_port=machines.port)


def cloud_of(world: CloudWorld) -> Oracle:
    assert isinstance(world.service, Oracle)
    return world.service
