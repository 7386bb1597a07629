"""Offers without an account, from Oracle's public price list alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from materia.compute import ANY_REGION, Offer, Requirements
from materia.errors import NoOfferError
from materia.kit.once import Once
from materia_providers.list_entries import Entries, LeftOut

from materia_oracle.catalog.price_list import fetch
from materia_oracle.catalog.shapes import PROVIDER, listed_shapes, offers
from materia_oracle.settings import Settings

REGION = re.compile(r"[a-z]{2}-[a-z]+-\d")


def read_public_offers(
    settings: Settings, requirements: Requirements, once: Once
) -> Sequence[Offer]:
    """An offer for each flexible shape of the list, in the required regions or in any.

    Raises:
        NoOfferError: Oracle does not have the required regions.
        ProviderError: the list cannot be read.
    """
    named = [region.lower() for region in requirements.regions]
    regions = [region for region in named if REGION.fullmatch(region)]
    if requirements.regions and not regions:
        asked = ", ".join(requirements.regions)
        raise NoOfferError(
            f"oracle: {asked} is not a region of Oracle; use a name such as eu-frankfurt-1"
        )
    url, currency = settings.price_list_url, requirements.currency
    prices = once.ask(("prices", currency), partial(fetch, url, currency))
    shapes = listed_shapes(prices)
    left = LeftOut(PROVIDER)
    # Prices are equal in all commercial regions; only an account shows which ones it may use.
    found = [
        offer
        for region in regions or [ANY_REGION]
        for offer in offers(shapes, prices, requirements, region=region, left=left)
    ]
    return Entries(found, (*prices.left_out, *left.lines()))
