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


# Promises that kill, or fail, each request one after the other.
AT_LENGTH = ("test_a_process_killed_in", "test_a_destroy_that_fails")


def takes_minutes(file: str, name: str) -> bool:
    """Whether a test repeats at length what another shows of the same kind in the normal run."""
    match file:
        case "test_api_machines.py":  # materia-acme shows the rest of `ApiProvider`
            shown = ("same_name", "two_names", "lost", "late", "cannot_be_read", "labels_are_tags")
            return not any(one in name for one in shown)
        case "test_oracle_contract.py":  # test_ovh_contract.py has them, with an SDK and tasks
            slow = ("test_a_create_that_fails", "test_offers_that_cannot_be_read")
            return name.startswith((*AT_LENGTH, *slow))
        case "test_scaleway_contract.py":
            return name.startswith(AT_LENGTH)
        case _:
            return False


@pytest.hookimpl(tryfirst=True)  # before the markers are looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what takes minutes to the campaigns."""
    for item in items:
        if takes_minutes(item.path.name, item.name):
            item.add_marker(pytest.mark.campaign)
