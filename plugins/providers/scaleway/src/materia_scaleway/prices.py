"""Scaleway's catalog, server types and stock -> offers: pure functions.

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
from typing import Any, Protocol

from materia.machines import (
    Architecture,
    Availability,
    Billing,
    Cpu,
    Extra,
    Money,
    Offer,
    Requirements,
)

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
# No API tells the price of an address. Scaleway's pricing page, read 2026-11.
IPV4_HOURLY = Money(Decimal("0.004"), "EUR")
IPV4_MINIMUM = Money(Decimal("0.01"), "EUR")
# Only an account is told the price of a volume. SBS with 5,000 IOPS, Scaleway's pricing page.
SBS_HOURLY_PER_GB = Money(Decimal("0.000118"), "EUR")
SBS_TYPE = "sbs_5k"
# What may still be created (the status of a product in the catalog).
SOLD = frozenset(
    {"public_beta", "preview", "general_availability", "end_of_new_features", "end_of_growth"}
)
# Older answers of the catalog do not say whether a processor is shared. Scaleway's "Instances
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


class ServerKind(Protocol):
    """What is used of the SDK's ServerType."""

    hourly_price: float
    ncpus: int
    ram: int
    arch: Any
    end_of_service: bool
    capabilities: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """What one zone answered.

    Attributes:
        name: For example `fr-par-1`.
        products: Of the public catalog, as JSON.
        kinds: Server types by name, as the SDK reads them; None without credentials.
        stock: Availability by name of the server type.
        volume: Price of one GB of block volume for one hour.
        volume_source: Where that was read.
        as_of: When all this was read, in UTC.
        source: Address of the catalog.
    """

    name: str
    products: Sequence[Mapping[str, Any]]
    kinds: Mapping[str, ServerKind] | None
    stock: Mapping[str, str]
    volume: Money
    volume_source: str
    as_of: datetime
    source: str


def region_of(zone: str) -> str:
    """The region of a zone: `fr-par` of `fr-par-1`."""
    return zone.rpartition("-")[0]


def volume_gb(disk_gib: int) -> int:
    """The size of a volume in GB, as it is sold, that holds *disk_gib*."""
    return -(-disk_gib * GIB // 10**9)


def exact(money: Mapping[str, Any]) -> Money:
    """The amount of a price in units and nanos (billionths), without rounding."""
    amount = Decimal(int(money.get("units") or 0)) + Decimal(int(money.get("nanos") or 0)) / 10**9
    return Money(amount, str(money["currency_code"]))


def hourly_of(product: Mapping[str, Any]) -> Money | None:
    """The price of an hour, whatever unit it is told in; None for a unit that is not of time."""
    price = exact(product["price"]["retail_price"])
    measure = product.get("unit_of_measure") or {}
    unit = UNITS.get(str(measure.get("unit", "hour")))
    if unit is None:
        return None
    whole = unit * int(measure.get("size") or 1)
    return Money(price.amount * (HOUR // MICROSECOND) / (whole // MICROSECOND), price.currency)


def billing_of(product: Mapping[str, Any]) -> Billing:
    """By the unit of the price, and an hour at least: that holds for every resource."""
    if (product.get("unit_of_measure") or {}).get("unit") == "minute":
        return replace(STARTED_HOURS, increment=UNITS["minute"])
    return STARTED_HOURS


def offers(zone: Zone, requirements: Requirements) -> list[Offer]:
    """Every type that may be created in *zone*, with the disk that *requirements* ask for."""
    products = {_type(product): product for product in zone.products}
    if zone.kinds is None:
        found = [_from_catalog(zone, name, requirements) for name in products]
    else:
        found = [
            _from_kind(zone, name, kind, products.get(name), requirements)
            for name, kind in zone.kinds.items()
        ]
    return [offer for offer in found if offer is not None]


def _type(product: Mapping[str, Any]) -> str:
    instance = product.get("properties", {}).get("instance", {})
    return str(instance.get("offer_id") or product.get("product", ""))


def _from_catalog(zone: Zone, name: str, requirements: Requirements) -> Offer | None:
    product = {_type(product): product for product in zone.products}[name]
    hardware = product.get("properties", {}).get("hardware") or {}
    cpu = hardware.get("cpu") or {}
    architecture = ARCHITECTURES.get(str(cpu.get("arch")))
    vcpus = int((cpu.get("virtual") or {}).get("count") or cpu.get("threads") or 0)
    memory = int((hardware.get("ram") or {}).get("size") or 0)
    hourly = hourly_of(product)
    if architecture is None or not vcpus or not memory or not _sold(product) or hourly is None:
        return None
    return _offer(
        zone,
        name,
        requirements,
        vcpus=vcpus,
        memory=memory,
        architecture=architecture,
        hourly=hourly,
        product=product,
    )


def _from_kind(
    zone: Zone,
    name: str,
    kind: ServerKind,
    product: Mapping[str, Any] | None,
    requirements: Requirements,
) -> Offer | None:
    architecture = ARCHITECTURES.get(str(kind.arch))
    # Types for Windows carry its licence in their price and boot nothing else.
    if architecture is None or kind.end_of_service or name.endswith("-WIN"):
        return None
    if kind.capabilities is not None and kind.capabilities.block_storage is False:
        return None
    if product is not None and not _sold(product):
        return None
    # The API sends a JSON number, and repr gives back the digits it was written with.
    hourly = Money(Decimal(repr(kind.hourly_price)), "EUR")
    if product is not None:
        hourly = hourly_of(product) or hourly
    return _offer(
        zone,
        name,
        requirements,
        vcpus=kind.ncpus,
        memory=kind.ram,
        architecture=architecture,
        hourly=hourly,
        product=product or {},
    )


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
                source=IP_DOCS,
            ),
            Extra(
                name=f"block volume, {gb} GB",
                hourly=Money(zone.volume.amount * gb, zone.volume.currency),
                source=zone.volume_source,
            ),
        ),
        egress_source=DOCS,
        retires_on=_retires_on(product),
    )


def _sold(product: Mapping[str, Any]) -> bool:
    return str(product.get("status", "general_availability")) in SOLD


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
