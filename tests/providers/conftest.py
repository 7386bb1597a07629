from __future__ import annotations

from collections.abc import Iterator

import pytest
from materia_testing.emulation import Clock
from materia_testing.emulation.service import Service


@pytest.fixture
def cloud(request: pytest.FixtureRequest) -> Iterator[Service]:
    """The emulated cloud that a module imports as `Cloud`, with time a hundred times as fast."""
    with request.module.Cloud(clock=Clock(speed=100)) as cloud:
        yield cloud


@pytest.hookimpl(tryfirst=True)  # before the markers are looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to the campaigns what materia-acme shows of `ApiProvider` in the normal run."""
    for item in items:
        marks = ("same_name", "two_names", "lost", "late", "cannot_be_read", "labels_are_tags")
        if item.path.name == "test_api_machines.py" and not any(one in item.name for one in marks):
            item.add_marker(pytest.mark.campaign)
