"""Provider contract: test every promise of a provider plugin.

    from materia_testing.contracts.provider import ProviderContract, World

    class TestAcme(ProviderContract):
        @pytest.fixture
        def world(self) -> Iterator[World]:
            with AcmeOnThisMachine() as world:      # your fake of the real service
                yield world

        @pytest.fixture
        def open_provider(self, world: World) -> Callable[[], Provider]:
            return lambda: Acme("token", api=world.url, patience=timedelta(seconds=2))

The world is the service behind the provider, as the tests see it. It counts requests and injects
faults, and after every test it must report that materia's resources no longer cost anything.

`open_provider` opens a provider as a new process would, without memory of an earlier one. Give it
short time-outs: many tests wait for a service that never answers.
"""

from __future__ import annotations

import pytest

# Before their import, so that a failed assertion shows its values.
pytest.register_assert_rewrite(
    "materia_testing.contracts.providers.failures",
    "materia_testing.contracts.providers.promises",
    "materia_testing.contracts.providers.scene",
    "materia_testing.contracts.providers.teardown",
)

from materia_testing.contracts.contract import deviation  # noqa: E402 -- see above
from materia_testing.contracts.providers.failures import Failures  # noqa: E402 -- see above
from materia_testing.contracts.providers.promises import (  # noqa: E402 -- see above
    CreatePromises,
    ListPromises,
    OffersPromises,
    WaitPromises,
)
from materia_testing.contracts.providers.public import PublicOffersContract  # noqa: E402 -- see above
from materia_testing.contracts.providers.teardown import DestroyPromises  # noqa: E402 -- see above
from materia_testing.contracts.world import ABILITIES, FAULTS, Billed, World  # noqa: E402 -- see above

__all__ = [
    "ABILITIES",
    "FAULTS",
    "Billed",
    "ProviderContract",
    "PublicOffersContract",
    "World",
    "deviation",
]


class ProviderContract(
    OffersPromises, CreatePromises, ListPromises, WaitPromises, DestroyPromises, Failures
):
    """Every promise of `materia.protocols.Provider`; subclass it and give it two fixtures."""
