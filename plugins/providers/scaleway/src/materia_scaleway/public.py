"""Offers without an account, from Scaleway's public product catalog."""

from __future__ import annotations

from collections.abc import Sequence

from materia.compute import Offer, Requirements
from materia.kit.once import Once
from scaleway import Client  # type: ignore[import-untyped]

from materia_scaleway.client import connect
from materia_scaleway.offers import offers_of
from materia_scaleway.settings import Settings


def read_public_offers(
    settings: Settings, requirements: Requirements, once: Once
) -> Sequence[Offer]:
    """Offers from the public catalog, zone by zone, without stock.

    Raises:
        NoOfferError: no zone is in the required regions, or none has an offer.
        ProviderError: the catalog does not answer.
    """
    apis = connect(Client(api_url=settings.api_url), 10.0)
    return offers_of(apis, settings.zones, requirements, once)
