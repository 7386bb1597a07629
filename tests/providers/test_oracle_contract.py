"""The oracle provider keeps every promise, on the real SDK against the emulated APIs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from materia.protocols import Provider
from materia.testing.cloud import Behaviour, Clock
from materia.testing.cloud.oracle import Oracle
from materia.testing.cloud.world import CloudWorld
from materia.testing.provider import ProviderContract
from materia_oracle.provider import Oracle as Plugin


class TestOracle(ProviderContract):
    @pytest.fixture
    def world(self) -> Iterator[CloudWorld]:
        behaviour = Behaviour(boot=timedelta(seconds=5), delete=timedelta(seconds=2))
        with Oracle(clock=Clock(speed=50), behaviour=behaviour) as service:
            yield CloudWorld(service)

    @pytest.fixture
    def open_provider(self, world: CloudWorld) -> Callable[[], Provider]:
        return lambda: opened(world)


def opened(world: CloudWorld) -> Plugin:
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
        timeout=timedelta(seconds=1),
        patience=timedelta(seconds=2),
    )
