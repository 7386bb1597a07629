"""`ApiProvider` keeps every promise where names are not unique: a key marks each create.

Where names are unique, materia-acme shows it (test_third_party.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes.nameless import Nameless, NamelessCloud
from materia import Provider
from materia.compute import Requirements
from materia_providers.labels import from_tags, to_tags
from materia_testing.contracts.provider import ProviderContract
from materia_testing.emulation import Clock
from materia_testing.emulation.contract_world import CloudWorld


class TestNameless(ProviderContract):
    @pytest.fixture
    def world(self) -> Iterator[CloudWorld]:
        with NamelessCloud(clock=Clock(speed=1000)) as cloud:
            yield CloudWorld(cloud, slow_seconds=0.9, late_seconds=0.15)

    @pytest.fixture
    def open_provider(self, world: CloudWorld) -> Callable[[], Provider]:
        return lambda: Nameless(
            "secret",
            url=world.service.url,
            timeout=timedelta(seconds=0.6),
            patience=timedelta(seconds=0.6),
            settle=timedelta(seconds=0.2),
        )

    @pytest.fixture
    def needs(self) -> Requirements:
        return replace(Requirements(vcpus=2), currency="USD")


def test_labels_are_tags_and_back() -> None:
    labels = {"materia-run": "r1", "materia-name": "materia-r1-extract"}

    assert to_tags(labels) == ["materia-run:r1", "materia-name:materia-r1-extract"]
    assert from_tags([*to_tags(labels), "prod", 7]) == labels
    assert from_tags(to_tags(labels, separator="="), separator="=") == labels
    assert from_tags(None) is None
