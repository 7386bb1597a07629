"""The hetzner provider keeps the promises of every provider, against the emulated API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from materia.protocols import Provider
from materia_hetzner.emulator.service import Hetzner as Cloud
from materia_hetzner.provider import Hetzner
from materia_hetzner.settings import read_settings
from materia_testing.contracts.provider import ProviderContract
from materia_testing.contracts.providers.promises import WaitPromises
from materia_testing.emulation import Clock
from materia_testing.emulation.contract_world import CloudWorld
from materia_testing.emulation.ssh_machines.machine import SshMachines


def opener(world: CloudWorld, *, ssh_port: int = 22) -> Callable[[], Provider]:
    cloud = world.service
    return lambda: Hetzner(
        cloud.secrets()["HCLOUD_TOKEN"],
        replace(read_settings(cloud.settings()), ssh_port=ssh_port),
        request_timeout=timedelta(seconds=0.6),
        patience=timedelta(seconds=0.6),
        settle=timedelta(seconds=0.3),
        first_retry=timedelta(milliseconds=1),
    )


class TestHetzner(ProviderContract):
    @pytest.fixture
    def world(self) -> Iterator[CloudWorld]:
        with Cloud(clock=Clock(speed=1000)) as cloud:
            yield CloudWorld(cloud, slow_seconds=0.9, late_seconds=0.15)

    @pytest.fixture
    def open_provider(self, world: CloudWorld) -> Callable[[], Provider]:
        return opener(world)


class TestHetznerWithMachines(WaitPromises):
    @pytest.fixture
    def machines(self) -> Iterator[SshMachines]:
        with SshMachines() as machines:
            yield machines

    @pytest.fixture
    def world(self, machines: SshMachines) -> Iterator[CloudWorld]:
        with Cloud(clock=Clock(speed=100), machines=machines) as cloud:
            yield CloudWorld(cloud)

    @pytest.fixture
    def open_provider(self, world: CloudWorld, machines: SshMachines) -> Callable[[], Provider]:
        return opener(world, ssh_port=machines.port)
