"""The oracle provider keeps every promise, on the real SDK against the emulated APIs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from materia.protocols import Provider
from materia.testing.cloud import Clock
from materia.testing.cloud.machine import SshMachines
from materia.testing.cloud.oracle import Oracle
from materia.testing.cloud.world import CloudWorld
from materia.testing.provider import ProviderContract
from materia.testing.provider_promises import WaitPromises
from materia_oracle.provider import Oracle as Plugin


class TestOracle(ProviderContract):
    @pytest.fixture
    def world(self) -> Iterator[CloudWorld]:
        with Oracle(clock=Clock(speed=100)) as service:
            yield CloudWorld(service, slow_seconds=0.4, late_seconds=0.15)

    @pytest.fixture
    def open_provider(self, world: CloudWorld) -> Callable[[], Provider]:
        return lambda: opened(world)


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
        return lambda: opened(world, ssh_port=machines.port)


def opened(world: CloudWorld, *, ssh_port: int = 22) -> Plugin:
    secrets, settings = world.service.secrets(), world.service.settings()
    return Plugin(
        {
            "user": secrets["OCI_CLI_USER"],
            "tenancy": secrets["OCI_CLI_TENANCY"],
            "fingerprint": secrets["OCI_CLI_FINGERPRINT"],
            "key_content": secrets["OCI_CLI_KEY_CONTENT"],
            "region": secrets["OCI_CLI_REGION"],
        },
        compartment=str(settings["compartment"]),
        subnet=str(settings["subnet"]),
        api_url=str(settings["api_url"]),
        price_list_url=str(settings["price_list_url"]),
        timeout=timedelta(seconds=0.25),
        patience=timedelta(seconds=0.8),
        settle=timedelta(seconds=0.3),
        first_retry=timedelta(milliseconds=1),
        ssh_port=ssh_port,
    )
