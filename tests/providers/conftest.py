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
