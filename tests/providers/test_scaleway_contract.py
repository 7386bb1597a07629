"""The scaleway provider keeps every promise, on the real SDK against the emulated APIs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from materia.protocols import Provider
from materia.testing.cloud import Behaviour, Clock
from materia.testing.cloud.scaleway import Scaleway
from materia.testing.cloud.world import CloudWorld
from materia.testing.provider import ProviderContract
from materia_scaleway.provider import Scaleway as Plugin
from materia_scaleway.zones import zones


class TestScaleway(ProviderContract):
    @pytest.fixture
    def world(self) -> Iterator[CloudWorld]:
        behaviour = Behaviour(boot=timedelta(seconds=5), delete=timedelta(seconds=2))
        with Scaleway(clock=Clock(speed=50), behaviour=behaviour) as service:
            yield CloudWorld(service)

    @pytest.fixture
    def open_provider(self, world: CloudWorld) -> Callable[[], Provider]:
        return lambda: opened(world)


def opened(world: CloudWorld) -> Plugin:
    secrets, settings = world.service.secrets(), world.service.settings()
    return Plugin(
        access_key=secrets["SCW_ACCESS_KEY"],
        secret_key=secrets["SCW_SECRET_KEY"],
        project=str(settings["project"]),
        zones=zones(("fr-par-1", "nl-ams-1")),
        image="ubuntu_noble",
        api_url=str(settings["api_url"]),
        timeout=timedelta(seconds=1),
        patience=timedelta(seconds=2),
    )
