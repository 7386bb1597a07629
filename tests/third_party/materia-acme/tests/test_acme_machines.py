from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from materia import Provider
from materia_acme.emulator import AcmeCloud
from materia_acme.provider import AcmeMachines
from materia_testing.contracts.provider import ProviderContract
from materia_testing.emulation import Clock
from materia_testing.emulation.contract_world import CloudWorld


class TestAcmeMachines(ProviderContract):
    @pytest.fixture
    def world(self) -> Iterator[CloudWorld]:
        with AcmeCloud(clock=Clock(speed=1000)) as cloud:
            lacks = {"odd_stranger": "the name of a machine is its identity, and always there"}
            yield CloudWorld(cloud, slow_seconds=0.9, late_seconds=0.15, lacks=lacks)

    @pytest.fixture
    def open_provider(self, world: CloudWorld) -> Callable[[], Provider]:
        return lambda: AcmeMachines(
            "acme-secret",
            url=world.service.url,
            timeout=timedelta(seconds=0.6),
            patience=timedelta(seconds=0.6),
            settle=timedelta(seconds=0.2),
        )
