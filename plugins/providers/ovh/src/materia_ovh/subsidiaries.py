"""OVHcloud's subsidiaries: the API that serves each one, and the currency of its prices.

An API refuses the subsidiaries of another continent: 400, "invalid ovhSubsidiary". Source of the
table: the archive of catalogs at github.com/y8/ovh-catalog-archive, which reads them hourly, as of
its README of 2026-04-14, read 2026-11-29; for the USA the provider's documentation of Terraform,
read the same day. Currencies: OVHcloud's API console, enumeration OvhSubsidiary, 2026-08.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """One of OVHcloud's APIs.

    Attributes:
        hosts: Its host names; messages name the first.
        served: The subsidiaries whose catalogs it has.
        by_currency: The subsidiary with prices in a currency.
        otherwise: The subsidiary for any other currency.
    """

    hosts: tuple[str, ...]
    served: tuple[str, ...]
    by_currency: Mapping[str, str]
    otherwise: str

    def candidates(self, currency: str) -> tuple[str, ...]:
        """The subsidiaries to ask for prices in *currency*, in order."""
        found = self.by_currency.get(currency)
        return tuple(dict.fromkeys((*([found] if found else []), self.otherwise)))


EUROPE = Api(
    hosts=("eu.api.ovh.com", "api.ovh.com"),
    served=("CZ", "DE", "ES", "FI", "FR", "GB", "IE", "IT", "LT", "MA", "NL", "PL", "PT", "SN",
            "TN"),
    by_currency={"EUR": "IE", "GBP": "GB", "PLN": "PL"},
    otherwise="IE",
)  # fmt: skip
CANADA = Api(
    hosts=("ca.api.ovh.com",),
    served=("ASIA", "AU", "CA", "IN", "QC", "SG", "WE", "WS"),
    by_currency={"USD": "WE", "CAD": "CA", "AUD": "AU", "SGD": "SG", "INR": "IN"},
    otherwise="WE",
)
USA = Api(
    hosts=("api.us.ovhcloud.com",),
    served=("US",),
    by_currency={"USD": "US"},
    otherwise="US",
)
APIS = (EUROPE, CANADA, USA)
# The known currency of a subsidiary: a catalog in another currency was misread.
CURRENCIES: Mapping[str, str] = {
    **dict.fromkeys(("DE", "ES", "FI", "FR", "IE", "IT", "LT", "NL", "PT"), "EUR"),
    **{one: currency for api in APIS for currency, one in api.by_currency.items()},
    "QC": "CAD",
}


def api_at(address: str) -> Api | None:
    """The API at a URL; None for a proxy or an emulator, which may be any of them."""
    host = (urlsplit(address).hostname or "").lower()
    return next((api for api in APIS if host in api.hosts), None)


def api_of(subsidiary: str) -> Api | None:
    """The API that serves a subsidiary, or None for an unknown subsidiary."""
    return next((api for api in APIS if subsidiary in api.served), None)


def candidates(address: str, currency: str) -> tuple[str, ...]:
    """The subsidiaries to ask, in order, for prices in *currency* at the API at *address*.

    An address that is not OVHcloud's own may be any of its APIs, so the subsidiaries with prices in
    the currency come first, and then the default one of each API.
    """
    api = api_at(address)
    if api is not None:
        return api.candidates(currency)
    quoting = [one.by_currency[currency] for one in APIS if currency in one.by_currency]
    return tuple(dict.fromkeys((*quoting, *(one.otherwise for one in APIS))))
