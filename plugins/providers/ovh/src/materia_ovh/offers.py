"""OVHcloud's catalog and flavors as offers: pure, from the bodies of its API.

The catalog has prices and no places; the flavors of a project have places, stock and quota and no
prices. They are joined on the plan code. Rules of billing: OVHcloud's guide "Public Cloud billing",
updated 2026-03-12, read 2026-11-23; of traffic: ovhcloud.com/en/public-cloud/prices, read the same
day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from materia.machines import ANY_REGION, Availability, Billing, Cpu, Money, Offer

PROVIDER = "ovh"
# From ACTIVE to delete, every clock hour that is touched; building is free.
BILLING = Billing(
    increment=timedelta(hours=1),
    minimum=timedelta(hours=1),
    alignment="clock",
    meter_from="active",
    source="https://help.ovhcloud.com/csm/en-public-cloud-billing",
    read_on=date(2026, 11, 23),
)
# Traffic out is free but for Asia-Pacific: 1 TB a month and project, then 0.01 EUR a GB.
ASIA_PACIFIC = ("SGP", "SYD", "YNM", "AP-")
EGRESS_SOURCE = "https://www.ovhcloud.com/en/public-cloud/prices/"
EGRESS = {"EUR": Decimal("0.01"), "USD": Decimal("0.0109")}
# Where the catalog is silent, a flavor of 500 or more is taken to be in MiB.
FIRST_MIB = 500


def read_offers(
    catalog: Mapping[str, Any],
    flavors: Iterable[Mapping[str, Any]],
    *,
    source: str,
    now: datetime,
) -> list[Offer]:
    """Every Linux flavor of the project that the catalog prices by the hour.

    Args:
        catalog: The body of `GET /order/catalog/public/cloud`.
        flavors: The body of `GET /cloud/project/{id}/flavor`.
        source: The address of the catalog, for the offers to name.
        now: When both were read, in UTC.
    """
    currency = str(catalog["locale"]["currencyCode"])
    plans = {addon["planCode"]: addon for addon in catalog["addons"] if _hourly(addon) is not None}
    offers: dict[tuple[str, str], Offer] = {}
    for flavor in flavors:
        addon = plans.get((flavor.get("planCodes") or {}).get("hourly"))
        if addon is None or str(flavor["osType"]).lower() != "linux":
            continue
        region, name = str(flavor["region"]), str(flavor["name"])
        offer = _offer(
            addon,
            region=region,
            name=name,
            vcpus=int(flavor["vcpus"]),
            memory_gib=_gib(flavor["ram"], _technical(addon).get("memory")),
            disk_gib=int(flavor["disk"]),
            availability=_availability(flavor),
            currency=currency,
            source=source,
            now=now,
        )
        known = offers.get((region, name))
        if known is None or known.availability != "available":
            offers[region, name] = offer
    return list(offers.values())


def read_public_offers(catalog: Mapping[str, Any], *, source: str, now: datetime) -> list[Offer]:
    """Every Linux plan of the regions with one zone; where it can be had, only an account sees."""
    currency = str(catalog["locale"]["currencyCode"])
    offers: dict[str, Offer] = {}
    for addon in catalog["addons"]:
        technical = _technical(addon)
        name = str(addon.get("invoiceName") or addon["planCode"].split(".")[0])
        cores = (technical.get("cpu") or {}).get("cores")
        memory = (technical.get("memory") or {}).get("size")
        linux = str((technical.get("os") or {}).get("family", "linux")).lower() == "linux"
        plain = addon["planCode"].endswith((f"{name}.consumption", f"{name}.hour.consumption"))
        if _hourly(addon) is None or not plain or not linux or not cores or not memory:
            continue
        if "active" not in ((addon.get("blobs") or {}).get("tags") or ["active"]):
            continue
        disks = (technical.get("storage") or {}).get("disks") or [{}]
        offers[name] = _offer(
            addon,
            region=ANY_REGION,
            name=name,
            vcpus=int(cores),
            memory_gib=_plain(Decimal(str(memory))),
            disk_gib=int(disks[0].get("capacity") or 0),
            availability="unknown",
            currency=currency,
            source=source,
            now=now,
        )
    return list(offers.values())


def _offer(
    addon: Mapping[str, Any],
    *,
    region: str,
    name: str,
    vcpus: int,
    memory_gib: Decimal,
    disk_gib: int,
    availability: Availability,
    currency: str,
    source: str,
    now: datetime,
) -> Offer:
    charged = region.startswith(ASIA_PACIFIC) and currency in EGRESS
    return Offer(
        provider=PROVIDER,
        region=region,
        instance_type=name,
        vcpus=vcpus,
        cpu=_cpu(addon),
        architecture="x86_64",
        memory_gib=memory_gib,
        disk_gib=disk_gib,
        hourly=Money(_hourly(addon) or Decimal(0), currency),
        billing=BILLING,
        availability=availability,
        price_as_of=now,
        price_source=source,
        egress_included_gib=Decimal(1024) if charged else None,
        egress_per_gib=Money(EGRESS[currency], currency) if charged else None,
        egress_source=EGRESS_SOURCE,
    )


def _hourly(addon: Mapping[str, Any]) -> Decimal | None:
    """The price of one hour; the catalog counts hundred-millionths of the currency."""
    if addon.get("product") != "publiccloud-instance":
        return None
    for pricing in addon.get("pricings") or ():
        by_use = "consumption" in (pricing.get("capacities") or [pricing.get("type")])
        if by_use and pricing.get("intervalUnit") == "hour" and pricing.get("interval", 1) == 1:
            return _plain(Decimal(str(pricing["price"])).scaleb(-8))
    return None


def _cpu(addon: Mapping[str, Any]) -> Cpu:
    commercial = (addon.get("blobs") or {}).get("commercial") or {}
    subtype = str(commercial.get("brickSubtype") or "")
    if not subtype:
        return "unknown"
    return "shared" if subtype.lower() == "discovery" else "dedicated"


def _availability(flavor: Mapping[str, Any]) -> Availability:
    if flavor.get("available") is False:
        return "unavailable"
    if flavor.get("quota") == 0:
        return "no_quota"
    return "available" if flavor.get("available") else "unknown"


def _technical(addon: Mapping[str, Any]) -> Mapping[str, Any]:
    return (addon.get("blobs") or {}).get("technical") or {}


def _gib(ram: object, memory: Mapping[str, Any] | None) -> Decimal:
    """A flavor's memory: its `ram` is documented in GiB and was seen in MiB.

    The one of both that is nearer to what the catalog says of the plan.
    """
    number = Decimal(str(ram))
    size = (memory or {}).get("size")
    if size is None:
        return _plain(number / 1024 if number >= FIRST_MIB else number)
    told = Decimal(str(size))
    return _plain(min((number, number / 1024), key=lambda either: abs(either - told)))


def _plain(number: Decimal) -> Decimal:
    """Without zeros at its end, and without an exponent."""
    short = number.normalize()
    return short.quantize(Decimal(1)) if short == short.to_integral_value() else short
