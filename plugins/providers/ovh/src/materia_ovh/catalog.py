"""Download OVHcloud's public price catalog, about 8 MB, without credentials.

The SDK refuses to start without credentials, so this module does not use it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
from materia.compute import Offer, Requirements
from materia.errors import NoOfferError, ProviderError
from materia.kit.once import Once
from materia_http.client import client
from materia_providers.connection_errors import connection_text
from materia_providers.list_entries import Entries, printable

from materia_ovh import offers
from materia_ovh.settings import Settings
from materia_ovh.subsidiaries import CURRENCIES

TIMEOUT = timedelta(seconds=30)
# The API's error for a subsidiary that another API serves.
NOT_SERVED = "invalid ovhsubsidiary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """The price list of one subsidiary.

    Attributes:
        body: As the API sent it.
        source: Its URL.
        currency: ISO 4217 code of its prices.
    """

    body: Mapping[str, Any]
    source: str
    currency: str


class RefusedError(ProviderError):
    """The API does not serve that subsidiary; the next subsidiary may work."""


def catalog_url(settings: Settings, subsidiary: str) -> str:
    """The URL of the prices of a subsidiary."""
    return f"{settings.api_url}/order/catalog/public/cloud?ovhSubsidiary={subsidiary}"


def read_catalog(
    settings: Settings, currency: str, *, once: Once, timeout: timedelta = TIMEOUT
) -> Catalog:
    """The catalog in *currency*, or in another currency where the API has none in that one.

    Raises:
        ProviderError: it cannot be read or is not a catalog.
    """
    asked = settings.subsidiaries_for(currency)
    refusal: RefusedError | None = None
    for subsidiary in asked:
        url = catalog_url(settings, subsidiary)
        try:
            return once.ask(("catalog", url), partial(_read, url, subsidiary, timeout))
        except RefusedError as error:
            refusal = refusal or error
    remedy = (
        "set providers.ovh.subsidiary to one that the API at providers.ovh.api_url serves, or "
        "providers.ovh.api_url to the API that serves yours"
    )
    raise ProviderError(f"{refusal}; tried {', '.join(asked)}; {remedy}") from refusal


def _read(url: str, subsidiary: str, timeout: timedelta) -> Catalog:
    try:
        with client(url, timeout=timeout.total_seconds(), follow_redirects=True) as asking:
            answer = asking.get(url)
        body = answer.json() if answer.is_success else None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = connection_text(error, url)
        raise ProviderError(f"ovh: cannot read the prices at {url}: {reason}") from error
    except ValueError as error:
        raise ProviderError(f"ovh: cannot read the prices at {url}: it is not JSON") from error
    if not answer.is_success:
        said = _said(answer)
        kind = RefusedError if NOT_SERVED in said.lower() else ProviderError
        raise kind(f"ovh: cannot read the prices at {url}: {said}")
    catalog = body if isinstance(body, dict) else {}
    locale = catalog.get("locale")
    currency = locale.get("currencyCode") if isinstance(locale, dict) else None
    if not isinstance(currency, str) or not isinstance(catalog.get("addons"), list):
        raise ProviderError(f"ovh: cannot read the prices at {url}: the answer is not a catalog")
    if not catalog["addons"]:
        raise ProviderError(f"ovh: cannot read the prices at {url}: the catalog is empty")
    expected = CURRENCIES.get(subsidiary, currency)
    if currency != expected:
        raise ProviderError(
            f"ovh: cannot read the prices at {url}: they are in {printable(currency)}, and "
            f"{subsidiary} quotes in {expected}"
        )
    return Catalog(body=catalog, source=url, currency=currency)


def _said(answer: httpx.Response) -> str:
    """The status, with OVHcloud's own message where there is one."""
    try:
        body = answer.json()
    except ValueError:
        return f"HTTP {answer.status_code}"
    message = body.get("message") if isinstance(body, dict) else None
    words = f": {printable(message)}" if isinstance(message, str) and message else ""
    return f"HTTP {answer.status_code}{words}"


def read_public_offers(
    settings: Settings, requirements: Requirements, once: Once
) -> Sequence[Offer]:
    """Offers from the price list without availability, in the required regions or in any.

    Raises:
        NoOfferError: it has no price for an instance, or none in the required regions.
    """
    regions = offers.public_regions(requirements.regions)
    if requirements.regions and not regions:
        raise NoOfferError(
            "ovh: the public catalog has no separate prices for "
            f"{', '.join(requirements.regions)}; use a region name such as GRA11"
        )
    catalog = read_catalog(settings, requirements.currency, once=once)
    found = offers.read_public_offers(
        catalog.body, regions=regions, source=catalog.source, now=datetime.now(UTC)
    )
    if not found:
        lines = "; ".join(found.left_out)
        raise NoOfferError(
            "ovh: the catalog has no hourly price for a Linux instance"
            + (f": {lines}" if lines else "")
        )
    return Entries(found, found.left_out)
