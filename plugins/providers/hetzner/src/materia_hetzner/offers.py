"""Hetzner's server types and prices as offers: pure, from the bodies of its API.

One offer for each type in each location. Prices are the net strings of the API, in the currency of
the account. The rules of billing are prose: docs.hetzner.com/cloud/billing/faq, read 2026-11-23.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from materia.machines import Architecture, Availability, Billing, Cpu, Extra, Money, Offer

PROVIDER = "hetzner"
ARCHITECTURES: Mapping[str, Architecture] = {"x86": "x86_64", "arm": "arm64"}
CPUS: Mapping[str, Cpu] = {"dedicated": "dedicated", "shared": "shared"}
GIB = 1024**3
# A started hour is a whole one, from creation, running or not.
BILLING = Billing(
    increment=timedelta(hours=1),
    minimum=timedelta(hours=1),
    alignment="start",
    meter_from="create",
    source="https://docs.hetzner.com/cloud/billing/faq/",
    read_on=date(2026, 11, 23),
)


def read_offers(
    types: Sequence[Mapping[str, Any]], pricing: Mapping[str, Any], *, source: str, now: datetime
) -> list[Offer]:
    """Every type in every location it has a price for.

    Args:
        types: The bodies of `GET /server_types`.
        pricing: The body of `GET /pricing`.
        source: The address of the API, for the offers to name.
        now: When both were read, in UTC.
    """
    currency = str(pricing["currency"])
    addresses = _address_prices(pricing)
    offers = []
    for kind in types:
        architecture = ARCHITECTURES.get(kind["architecture"])
        if architecture is None:
            continue
        places = {place["name"]: place for place in kind.get("locations") or ()}
        for price in kind.get("prices") or ():
            location = str(price["location"])
            if places and location not in places:
                continue  # a price is kept where the type is no longer sold
            place = places.get(location, {})
            retires_on = _retires_on(place.get("deprecation") or kind.get("deprecation"))
            extras: tuple[Extra, ...] = ()
            if address := addresses.get(location):
                extras = (
                    Extra(
                        name="IPv4 address",
                        hourly=Money(_net(address["price_hourly"]), currency),
                        monthly_cap=Money(_net(address["price_monthly"]), currency),
                        source=f"{source}/pricing",
                    ),
                )
            offers.append(
                Offer(
                    provider=PROVIDER,
                    region=location,
                    instance_type=str(kind["name"]),
                    vcpus=int(kind["cores"]),
                    cpu=CPUS.get(kind["cpu_type"], "unknown"),
                    architecture=architecture,
                    memory_gib=_plain(Decimal(str(kind["memory"]))),
                    disk_gib=int(kind["disk"]),
                    hourly=Money(_net(price["price_hourly"]), currency),
                    billing=BILLING,
                    availability=_availability(place, retires_on, now.date()),
                    price_as_of=now,
                    price_source=f"{source}/server_types",
                    monthly_cap=Money(_net(price["price_monthly"]), currency),
                    extras=extras,
                    **_egress(price, currency),
                    retires_on=retires_on,
                )
            )
    return offers


def _net(price: Mapping[str, str]) -> Decimal:
    return _plain(Decimal(price["net"]))


def _plain(number: Decimal) -> Decimal:
    """Without zeros at its end, and without an exponent."""
    short = number.normalize()
    return short.quantize(Decimal(1)) if short == short.to_integral_value() else short


def _address_prices(pricing: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {
        str(price["location"]): price
        for kind in pricing.get("primary_ips") or ()
        if kind["type"] == "ipv4"
        for price in kind["prices"]
        if _net(price["price_hourly"])
    }


def _egress(price: Mapping[str, Any], currency: str) -> dict[str, Any]:
    # Traffic is counted in powers of 1024: the API calls 20 TB 21990232555520 bytes.
    included, per_tb = price.get("included_traffic"), price.get("price_per_tb_traffic")
    if included is None or per_tb is None:
        return {}
    return {
        "egress_included_gib": _plain(Decimal(int(included)) / GIB),
        "egress_per_gib": Money(_net(per_tb) / 1024, currency),
    }


def _retires_on(deprecation: Mapping[str, str] | None) -> date | None:
    if not deprecation or not deprecation.get("unavailable_after"):
        return None
    after = datetime.fromisoformat(deprecation["unavailable_after"])
    return after.astimezone(UTC).date()


def _availability(place: Mapping[str, Any], retires_on: date | None, today: date) -> Availability:
    if retires_on is not None and retires_on <= today:
        return "unavailable"
    match place.get("available"):  # since 2026-04-01; absent in answers of before
        case True:
            return "available"
        case False:
            return "unavailable"
    return "unknown"
