"""The scaleway provider keeps every promise, on the real SDK against the emulated APIs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fakes.scaleway_open import opened
from materia.protocols import Provider
from materia_scaleway.emulator.service import Scaleway
from materia_testing.contracts.provider import ProviderContract
from materia_testing.contracts.providers.promises import WaitPromises
from materia_testing.emulation import Clock
from materia_testing.emulation.contract_world import CloudWorld
from materia_testing.emulation.ssh_machines.machine import SshMachines


class TestScaleway(ProviderContract):
    @pytest.fixture
    def world(self) -> Iterator[CloudWorld]:
        with Scaleway(clock=Clock(speed=1000)) as service:
            yield CloudWorld(service, slow_seconds=0.9, late_seconds=0.1)

    @pytest.fixture
    def open_provider(self, world: CloudWorld) -> Callable[[], Provider]:
        return lambda: opened(cloud_of(world), settle=0.2)


class TestScalewayWithMachines(WaitPromises):
    @pytest.fixture
    def machines(self) -> Iterator[SshMachines]:
        with SshMachines() as machines:
            yield machines

    @pytest.fixture
    def world(self, machines: SshMachines) -> Iterator[CloudWorld]:
        with Scaleway(clock=Clock(speed=100), machines=machines) as service:
            yield CloudWorld(service)

    @pytest.fixture
    def open_provider(self, world: CloudWorld, machines: SshMachines) -> Callable[[], Provider]:
        return lambda: opened(cloud_of(world), ssh_port=machines.port)


def cloud_of(world: CloudWorld) -> Scaleway:
    assert isinstance(world.service, Scaleway)
    return world.service
