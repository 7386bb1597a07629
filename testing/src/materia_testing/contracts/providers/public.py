"""Contract of public offers: prices without credentials (`Plugin.public_offers`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import pytest
from materia.compute import Offer, Requirements
from materia.protocols import Provider

from materia_testing.contracts.providers.promises import OffersPromises

PublicOffers = Callable[[Requirements], Sequence[Offer]]


class _OnlyOffers:
    """The part of a provider that works without credentials."""

    def __init__(self, ask: PublicOffers) -> None:
        self.offers = ask


class PublicOffersContract(OffersPromises):
    """Every promise of `Provider.offers`; subclass it and give it the fixture `public_offers`."""

    @pytest.fixture
    def public_offers(self) -> PublicOffers:
        """The plugin's `public_offers`, opened without secrets; a fixture of the test class."""
        raise NotImplementedError("a PublicOffersContract needs a fixture `public_offers`")

    @pytest.fixture
    def provider(self, public_offers: PublicOffers) -> Provider:
        """A provider that can only give offers."""
        return cast("Provider", _OnlyOffers(public_offers))
