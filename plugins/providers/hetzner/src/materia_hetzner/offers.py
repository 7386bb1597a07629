"""Offers of Hetzner: server types with prices, from the bodies of its API; pure functions.

One offer for each type in each location. Prices are the net strings of the API, in the currency of
the account. Billing rules: docs.hetzner.com/cloud/billing/faq, read 2026-11-23.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from materia.compute import Architecture, Availability, Billing, Cpu, Extra, Money, Offer
from materia_providers.list_entries import Entries, LeftOut, amount, amount_in, whole, word

PROVIDER = "hetzner"
ARCHITECTURES: Mapping[str, Architecture] = {"x86": "x86_64", "arm": "arm64"}
CPUS: Mapping[str, Cpu] = {"dedicated": "dedicated", "shared": "shared"}
GIB = 1024**3
LEAST = Decimal("0.0001")  # in any currency: the lowest price is that of an address, 0.0008
# Billed by started hours from creation, running or not.
BILLING = Billing(
    increment=timedelta(hours=1),
    minimum=timedelta(hours=1),
    alignment="start",
    meter_from="create",
    source="https://docs.hetzner.com/cloud/billing/faq/",
    read_on=date(2026, 11, 23),
)


def read_offers(
    types: Sequence[Any], pricing: Mapping[str, Any], *, source: str, now: datetime
) -> Entries[Offer]:
    """Offers for every server type in every location that has a price for it.

    A type or a price that cannot be read is left out, and a line reports it.

    Args:
        types: The bodies of `GET /server_types`.
        pricing: The body of `GET /pricing`.
        source: The address of the API, for the offers to name.
        now: When both were read, in UTC.
    """
    left = LeftOut(PROVIDER)
    currency = word(pricing["currency"], "currency")
    addresses = _address_prices(pricing, currency, source, left)
    offers = []
    for kind in types:
        with left.entry(_named(kind)):
            if word(kind["architecture"], "architecture") not in ARCHITECTURES:
                continue
            machine = _machine(kind)
            places = {place["name"]: place for place in kind.get("locations") or ()}
            for price in kind.get("prices") or ():
                with left.entry(f"{_named(kind)} in {_place(price)}"):
                    location = word(price["location"], "location")
                    if places and location not in places:
                        continue  # a price is kept where the type is no longer sold
                    place = places.get(location, {})
                    retires_on = _retires_on(place.get("deprecation") or kind.get("deprecation"))
                    offers.append(
                        Offer(
                            **machine,
                            region=location,
                            hourly=_money(price, "price_hourly", currency),
                            availability=_availability(place, retires_on, now.date()),
                            price_as_of=now,
                            price_source=f"{source}/server_types",
                            monthly_cap=_money(price, "price_monthly", currency),
                            extras=_address_in(location, addresses),
                            **_egress(price, currency),
                            retires_on=retires_on,
                        )
                    )
    return Entries(offers, left.lines())


def _named(kind: Any) -> str:
    """The name of a type in messages, whatever the API sent."""
    return f"the type {kind.get('name')}" if isinstance(kind, dict) else "a type"


def _place(price: Any) -> str:
    return str(price.get("location")) if isinstance(price, dict) else "a location"


def _machine(kind: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an offer that are the same in every location.

    Raises:
        ValueError: one of its sizes is missing or impossible.
    """
    return {
        "provider": PROVIDER,
        "instance_type": word(kind["name"], "name"),
        "vcpus": whole(kind["cores"], "number of cores"),
        "cpu": CPUS.get(str(kind["cpu_type"]), "unknown"),
        "architecture": ARCHITECTURES[kind["architecture"]],
        "memory_gib": _plain(amount(kind["memory"], "memory", least=Decimal("0.1"))),
        "disk_gib": whole(kind["disk"], "disk"),
        "billing": BILLING,
    }


def _money(price: Mapping[str, Any], name: str, currency: str) -> Money:
    """A net price of the API, which writes them as text.

    Raises:
        ValueError: it is missing, zero or impossible.
    """
    net = amount_in(price[name]["net"], name, least=LEAST)
    return Money(_plain(net), currency)


def _plain(number: Decimal) -> Decimal:
    """The number without trailing zeros and without an exponent."""
    short = number.normalize()
    return short.quantize(Decimal(1)) if short == short.to_integral_value() else short


def _address_prices(
    pricing: Mapping[str, Any], currency: str, source: str, left: LeftOut
) -> dict[str, Extra | None]:
    """The price of an IPv4 address by location; None where it cannot be read."""
    found: dict[str, Extra | None] = {}
    with left.entry("the prices of addresses"):
        if not pricing.get("primary_ips"):
            raise ValueError("the API has none")
        for kind in pricing.get("primary_ips") or ():
            if word(kind["type"], "kind") != "ipv4":
                continue
            for price in kind["prices"]:
                place = _place(price)
                found[place] = None
                with left.entry(f"the price of an IPv4 address in {place}"):
                    found[place] = Extra(
                        name="IPv4 address",
                        hourly=_money(price, "price_hourly", currency),
                        monthly_cap=_money(price, "price_monthly", currency),
                        source=f"{source}/pricing",
                    )
    return found


def _address_in(location: str, addresses: Mapping[str, Extra | None]) -> tuple[Extra, ...]:
    """The cost of the server's IPv4 address; nothing where the API lists no price at all.

    Raises:
        ValueError: the price in that location is unknown: the offer would look too cheap.
    """
    if not addresses:
        return ()
    address = addresses.get(location)
    if address is None:
        raise ValueError("the price of its IPv4 address is not known")
    return (address,)


def _egress(price: Mapping[str, Any], currency: str) -> dict[str, Any]:
    # Traffic is counted in powers of 1024: the API calls 20 TB 21990232555520 bytes.
    included, per_tb = price.get("included_traffic"), price.get("price_per_tb_traffic")
    if included is None or per_tb is None:
        return {"egress_included_gib": Decimal(0)}  # no price is known, and it is not free
    whole_gib = amount(included, "included traffic", most=Decimal(10**18)) / GIB
    return {
        "egress_included_gib": _plain(whole_gib),
        "egress_per_gib": Money(
            _money(price, "price_per_tb_traffic", currency).amount / 1024, currency
        ),
    }


def _retires_on(deprecation: Mapping[str, str] | None) -> date | None:
    if not deprecation or not deprecation.get("unavailable_after"):
        return None
    after = datetime.fromisoformat(deprecation["unavailable_after"])
    return after.astimezone(UTC).date()


def _availability(place: Mapping[str, Any], retires_on: date | None, today: date) -> Availability:
    if retires_on is not None and retires_on <= today:
        return "unavailable"
    match place.get("available"):  # since 2026-04-01; absent in earlier answers
        case True:
            return "available"
        case False:
            return "unavailable"
    return "unknown"
