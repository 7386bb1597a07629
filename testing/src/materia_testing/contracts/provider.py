"""The promises of a provider, as tests that any provider's package can run.

    from materia_testing.contracts.provider import ProviderContract, World

    class TestAcme(ProviderContract):
        @pytest.fixture
        def world(self) -> Iterator[World]:
            with AcmeOnThisMachine() as world:      # your stand-in for the real service
                yield world

        @pytest.fixture
        def open_provider(self, world: World) -> Callable[[], Provider]:
            return lambda: Acme("token", api=world.url, patience=timedelta(seconds=2))

The world is the far end: the service that is asked, as the tests see it. It counts requests, can be
told to fail, and is asked after every test what it still charges for.

`open_provider` makes a provider as a new process would, without memory of the one before. Give it
short time-outs: the tests wait for a service that never answers, many times over.
"""

from __future__ import annotations

import pytest

# Before they are imported, so that a failed assertion shows its values.
pytest.register_assert_rewrite(
    "materia_testing.contracts.providers.failures",
    "materia_testing.contracts.providers.promises",
    "materia_testing.contracts.providers.scene",
)

from materia_testing.contracts.contract import deviation  # noqa: E402 -- see above
from materia_testing.contracts.providers.failures import Failures  # noqa: E402 -- see above
from materia_testing.contracts.providers.promises import (  # noqa: E402 -- see above
    CreatePromises,
    DestroyPromises,
    ListPromises,
    OffersPromises,
    WaitPromises,
)
from materia_testing.contracts.providers.public import PublicOffersContract  # noqa: E402 -- see above
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
