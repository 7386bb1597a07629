"""Read OVHcloud's public price catalog: about 8 MB, and nobody asks who wants it.

The SDK refuses to start without credentials, so this goes without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from materia.errors import NoOfferError, ProviderError
from materia.http_client import client
from materia.machines import Offer, Requirements

from materia_ovh import offers
from materia_ovh.settings import Settings

TIMEOUT = timedelta(seconds=30)


def catalog_url(settings: Settings, currency: str) -> str:
    """Where prices in that currency are listed."""
    subsidiary = settings.subsidiary_for(currency)
    return f"{settings.api_url}/order/catalog/public/cloud?ovhSubsidiary={subsidiary}"


def read_catalog(
    settings: Settings, currency: str, *, timeout: timedelta = TIMEOUT
) -> Mapping[str, Any]:
    """The catalog, as the API sends it.

    Raises:
        ProviderError: it cannot be read, or is none.
    """
    url = catalog_url(settings, currency)
    try:
        with client(url, timeout=timeout.total_seconds(), follow_redirects=True) as asked:
            answer = asked.get(url)
        answer.raise_for_status()
        catalog = answer.json()
        if not catalog["addons"] or not catalog["locale"]["currencyCode"]:
            raise ProviderError(f"ovh: the catalog at {url} is empty")
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise ProviderError(
            f"ovh: cannot read the prices at {url}: {type(error).__name__}: {error}"
        ) from error
    return dict(catalog)


def read_public_offers(settings: Settings, requirements: Requirements) -> Sequence[Offer]:
    """The price list without availability.

    Raises:
        NoOfferError: it prices no instance.
    """
    currency = requirements.currency
    catalog, source = read_catalog(settings, currency), catalog_url(settings, currency)
    try:
        found = offers.read_public_offers(catalog, source=source, now=datetime.now(UTC))
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ProviderError(f"ovh: the catalog at {source} cannot be read: {error!r}") from error
    if not found:
        raise NoOfferError("ovh: the catalog prices no Linux instance by the hour")
    return found
