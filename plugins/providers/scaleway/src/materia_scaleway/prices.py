"""Offers of Scaleway from its catalog, server types and stock; pure functions.

Billing: "Understanding Instance pricing" (scaleway.com/en/docs/instances/reference-content/
understanding-instance-pricing) and "Understanding billing for Scaleway IP addresses": instance,
volume and address are billed apart, each by the started hour; an address costs at least EUR 0.01.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from materia.compute import (
    Architecture,
    Availability,
    Billing,
    Cpu,
    Extra,
    Money,
    Offer,
    Requirements,
)
from materia_providers.list_entries import LeftOut, amount, whole, word

PROVIDER = "scaleway"
GIB = 1024**3
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
DOCS = "https://www.scaleway.com/en/docs/instances/reference-content/understanding-instance-pricing"
IP_DOCS = "https://www.scaleway.com/en/docs/ipam/reference-content/understanding-ip-billing"
PRICING = "https://www.scaleway.com/en/pricing/storage/"
STARTED_HOURS = Billing(increment=HOUR, minimum=HOUR, source=DOCS, read_on=date(2026, 11, 23))
# The catalog's unit is the hour, but for GPU types the minute: as recorded on 2026-07-01, L4-1-24G
# was EUR 0.013125 there and 0.7875 an hour in the list of server types.
UNITS = {"minute": timedelta(minutes=1), "hour": HOUR, "day": timedelta(days=1)}
# No API has the price of an address, and the price of a volume needs credentials. A person read
# both on the named pages; SBS with 5,000 IOPS.
READ_ON = date(2026, 11, 23)
IPV4_HOURLY = Money(Decimal("0.004"), "EUR")
IPV4_MINIMUM = Money(Decimal("0.01"), "EUR")
IPV4_BILLING = replace(STARTED_HOURS, source=IP_DOCS)
SBS_HOURLY_PER_GB = Money(Decimal("0.000118"), "EUR")
LEAST = Decimal("0.000001")  # of an hour or a minute: a lower price is an error
LEAST_BYTES = 64 * 1024**2
# Catalog and list of types have the same price; above this difference one was misread.
APART = Decimal("1.5")
SBS_TYPE = "sbs_5k"
# The statuses of products in the catalog that can still be created.
SOLD = frozenset(
    {"public_beta", "preview", "general_availability", "end_of_new_features", "end_of_growth"}
)
# Older answers of the catalog lack the field `shared`. This is from Scaleway's "Instances
# datasheet", by the range in front of the type's name.
KINDS: Mapping[str, Cpu] = {
    "COPARM1": "shared",
    "DEV1": "shared",
    "ENT1": "dedicated",
    "GP1": "shared",
    "PLAY2": "shared",
    "POP2": "dedicated",
    "PRO2": "shared",
    "STARDUST1": "shared",
}
ARCHITECTURES: Mapping[str, Architecture] = {
    "x64": "x86_64",
    "x86_64": "x86_64",
    "arm64": "arm64",
}
STOCK: Mapping[str, Availability] = {
    "available": "available",
    "scarce": "scarce",
    "shortage": "unavailable",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """The answers of one zone.

    Attributes:
        name: For example `fr-par-1`.
        products: Of the public catalog, as JSON.
        kinds: Server types by name, as JSON; None without credentials.
        stock: Availability by name of the server type.
        volume: Price of one GB of block volume for one hour.
        volume_source: Its source.
        volume_read_on: The day a person read it; None when it came from a request.
        as_of: When all this was read, in UTC.
        source: URL of the catalog.
    """

    name: str
    products: Sequence[Any]
    kinds: Mapping[str, Any] | None
    stock: Mapping[str, str]
    volume: Money
    volume_source: str
    as_of: datetime
    source: str
    volume_read_on: date | None = None


def region_of(zone: str) -> str:
    """The region of a zone: `fr-par` of `fr-par-1`."""
    return zone.rpartition("-")[0]


def volume_gb(disk_gib: int) -> int:
    """The size of a volume in GB, as Scaleway sells it, that holds *disk_gib*."""
    return -(-disk_gib * GIB // 10**9)


def exact(money: Mapping[str, Any]) -> Money:
    """The amount of a price in units and nanos (billionths), without rounding.

    Raises:
        ValueError: it is missing, zero or impossible.
    """
    units = whole(money.get("units") or 0, "price", least=0)
    nanos = whole(money.get("nanos") or 0, "price", least=0, most=10**9 - 1)
    total = amount(Decimal(units) + Decimal(nanos) / 10**9, "price", least=LEAST)
    return Money(total, word(money["currency_code"], "currency"))


def hourly_of(product: Mapping[str, Any]) -> Money | None:
    """The hourly price from a price in any unit of time; None for another unit.

    Raises:
        ValueError: it is missing, zero or impossible.
    """
    price = exact(product["price"]["retail_price"])
    measure = product.get("unit_of_measure") or {}
    unit = UNITS.get(str(measure.get("unit", "hour")))
    if unit is None:
        return None
    length = unit * whole(measure.get("size") or 1, "unit")
    return Money(price.amount * (HOUR // MICROSECOND) / (length // MICROSECOND), price.currency)


def billing_of(product: Mapping[str, Any]) -> Billing:
    """Billing by the unit of the price, with a minimum of one hour for every resource."""
    if (product.get("unit_of_measure") or {}).get("unit") == "minute":
        return replace(STARTED_HOURS, increment=UNITS["minute"])
    return STARTED_HOURS


def offers(zone: Zone, requirements: Requirements, left: LeftOut | None = None) -> list[Offer]:
    """Offers for every type that can be created in *zone*, with the disk in *requirements*.

    *left* records a type or a product that cannot be read.
    """
    left = LeftOut(PROVIDER) if left is None else left
    products: dict[str, Mapping[str, Any]] = {}
    for product in zone.products:
        with left.entry(f"a product in {zone.name}"):
            products[_type(product)] = product
    found = []
    for name in products if zone.kinds is None else zone.kinds:
        with left.entry(f"{name} in {zone.name}"):
            product = products.get(name)
            if zone.kinds is None:
                offer = _from_catalog(zone, name, products[name], requirements)
            else:
                offer = _from_kind(zone, name, zone.kinds[name], product, requirements)
            if offer is not None:
                found.append(offer)
    return found


def _type(product: Mapping[str, Any]) -> str:
    instance = product.get("properties", {}).get("instance", {})
    return word(instance.get("offer_id") or product.get("product"), "name")


def _from_catalog(
    zone: Zone, name: str, product: Mapping[str, Any], requirements: Requirements
) -> Offer | None:
    hardware = product.get("properties", {}).get("hardware") or {}
    cpu = hardware.get("cpu") or {}
    architecture = ARCHITECTURES.get(word(cpu.get("arch"), "architecture"))
    if architecture is None or not _sold(product):
        return None
    hourly = hourly_of(product)
    if hourly is None:
        return None
    return _offer(
        zone,
        name,
        requirements,
        vcpus=whole((cpu.get("virtual") or {}).get("count") or cpu.get("threads"), "vCPUs"),
        memory=whole(
            (hardware.get("ram") or {}).get("size"), "memory", least=LEAST_BYTES, most=10**15
        ),
        architecture=architecture,
        hourly=hourly,
        product=product,
    )


def _from_kind(
    zone: Zone,
    name: str,
    kind: Mapping[str, Any],
    product: Mapping[str, Any] | None,
    requirements: Requirements,
) -> Offer | None:
    architecture = ARCHITECTURES.get(word(kind.get("arch"), "architecture"))
    # Types for Windows include its licence in their price and boot nothing else.
    if architecture is None or kind.get("end_of_service") or name.endswith("-WIN"):
        return None
    if (kind.get("capabilities") or {}).get("block_storage") is False:
        return None
    if product is not None and not _sold(product):
        return None
    return _offer(
        zone,
        name,
        requirements,
        vcpus=whole(kind.get("ncpus"), "number of vCPUs"),
        memory=whole(kind.get("ram"), "memory", least=LEAST_BYTES, most=10**15),
        architecture=architecture,
        hourly=_agreed(kind, product),
        product=product or {},
    )


def _agreed(kind: Mapping[str, Any], product: Mapping[str, Any] | None) -> Money:
    """The hourly price from the catalog, which is exact, if the server type agrees.

    Raises:
        ValueError: neither has a possible price, or they contradict each other.
    """
    listed = hourly_of(product) if product is not None else None
    if listed is not None and kind.get("hourly_price") is None:
        return listed
    of_type = amount(kind.get("hourly_price"), "hourly price", least=LEAST)
    if listed is None:
        return Money(of_type, "EUR")
    if not of_type / APART <= listed.amount <= of_type * APART:
        raise ValueError(
            f"its price is {of_type:f} in the list of types, {listed.amount:f} in the catalog"
        )
    return listed


def _offer(
    zone: Zone,
    name: str,
    requirements: Requirements,
    *,
    vcpus: int,
    memory: int,
    architecture: Architecture,
    hourly: Money,
    product: Mapping[str, Any],
) -> Offer:
    gb = volume_gb(requirements.disk_gib)
    return Offer(
        provider=PROVIDER,
        region=region_of(zone.name),
        zone=zone.name,
        instance_type=name,
        vcpus=vcpus,
        cpu=_cpu(name, product),
        architecture=architecture,
        memory_gib=Decimal(memory) / GIB,
        disk_gib=requirements.disk_gib,
        hourly=hourly,
        billing=billing_of(product),
        availability=STOCK.get(zone.stock.get(name, ""), "unknown"),
        price_as_of=zone.as_of,
        price_source=zone.source,
        extras=(
            Extra(
                name="IPv4 address",
                hourly=IPV4_HOURLY,
                minimum=IPV4_MINIMUM,
                billing=IPV4_BILLING,
                source=IP_DOCS,
                read_on=READ_ON,
            ),
            Extra(
                name=f"block volume, {gb} GB",
                hourly=Money(zone.volume.amount * gb, zone.volume.currency),
                source=zone.volume_source,
                read_on=zone.volume_read_on,
            ),
        ),
        egress_source=DOCS,
        egress_read_on=READ_ON,
        retires_on=_retires_on(product),
    )


def _sold(product: Mapping[str, Any]) -> bool:
    return word(product.get("status", "general_availability"), "status") in SOLD


def _cpu(name: str, product: Mapping[str, Any]) -> Cpu:
    said = ((product.get("properties", {}).get("hardware") or {}).get("cpu") or {}).get("shared")
    if said is not None:
        return "shared" if said else "dedicated"
    return KINDS.get(re.split(r"-", name, maxsplit=1)[0], "unknown")


def _retires_on(product: Mapping[str, Any]) -> date | None:
    ends = [
        datetime.fromisoformat(str(product[key])).date()
        for key in ("end_of_sale_at", "end_of_life_at")
        if product.get(key)
    ]
    return min(ends, default=None)
