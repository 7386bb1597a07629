"""The promises of offers for what a plugin says without credentials: `Plugin.public_offers`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import pytest
from materia.compute import Offer, Requirements
from materia.protocols import Provider

from materia_testing.contracts.providers.promises import OffersPromises

PublicOffers = Callable[[Requirements], Sequence[Offer]]


class _OnlyOffers:
    """As much of a provider as there is without credentials."""

    def __init__(self, ask: PublicOffers) -> None:
        self.offers = ask


class PublicOffersContract(OffersPromises):
    """Every promise of `Provider.offers`; subclass it and give it the fixture `public_offers`."""

    @pytest.fixture
    def public_offers(self) -> PublicOffers:
        """What asks the plugin, opened without secrets."""
        raise NotImplementedError("a PublicOffersContract needs a fixture `public_offers`")

    @pytest.fixture
    def provider(self, public_offers: PublicOffers) -> Provider:
        """What offers without credentials, and can do nothing else."""
        return cast("Provider", _OnlyOffers(public_offers))
