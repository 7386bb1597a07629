"""Offers of OVHcloud: a project's flavors joined with the prices of the catalog; pure functions.

The catalog has prices and no regions; the flavors of a project have regions, stock and quota and no
prices. The plan code joins them. Billing rules: OVHcloud's guide "Public Cloud billing",
updated 2026-03-12, read 2026-11-23; of traffic: ovhcloud.com/en/public-cloud/prices, read the same
day.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from materia.compute import ANY_REGION, Availability, Billing, Cpu, Money, Offer
from materia_providers.list_entries import Entries, LeftOut, amount, whole, word

PROVIDER = "ovh"
# Billed from ACTIVE to delete, for every clock hour it touches; building is free.
BILLING = Billing(
    increment=timedelta(hours=1),
    minimum=timedelta(hours=1),
    alignment="clock",
    meter_from="active",
    source="https://help.ovhcloud.com/csm/en-public-cloud-billing",
    read_on=date(2026, 11, 23),
)
# Traffic out is free except in Asia-Pacific: 1 TB a month and project, then 0.01 EUR a GB.
ASIA_PACIFIC = ("SGP", "SYD", "YNM", "AP-")
EGRESS_SOURCE = "https://www.ovhcloud.com/en/public-cloud/prices/"
EGRESS_READ_ON = date(2026, 11, 23)
# The page lists these currencies; in any other one the price is unknown, not zero.
EGRESS = {"EUR": Decimal("0.01"), "USD": Decimal("0.0109")}
# Where the catalog has no memory, a `ram` of 500 or more counts as MiB.
FIRST_MIB = 500
# The catalog counts in hundred-millionths of its currency.
PARTS = -8
LEAST_PARTS, MOST_PARTS = (
    Decimal(10_000),
    Decimal(10**14),
)  # of an hour: a lower price is an error in any of its currencies
# Regions with one zone: all have the prices of the plans without a suffix.
ONE_ZONE = re.compile(r"(?:GRA|SBG|BHS|RBX|WAW|DE|UK|SGP|SYD|YNM|VIN|HIL)\d{1,2}|RBX-A")
MOST_MIB = Decimal(10**9)
# A flavor's memory and the catalog's are equal, or the same figure in GB and GiB.
TOLERANCE = Decimal("0.15")


def read_offers(
    catalog: Mapping[str, Any],
    flavors: Iterable[Any],
    *,
    source: str,
    now: datetime,
) -> Entries[Offer]:
    """Offers for every Linux flavor of the project that has an hourly price in the catalog.

    A plan or a flavor that cannot be read is left out, and a line reports it.

    Args:
        catalog: The body of `GET /order/catalog/public/cloud`.
        flavors: The body of `GET /cloud/project/{id}/flavor`.
        source: The URL of the catalog, named in the offers.
        now: When both were read, in UTC.
    """
    left = LeftOut(PROVIDER)
    currency = str(catalog["locale"]["currencyCode"])
    plans: dict[object, tuple[Mapping[str, Any], Decimal]] = {
        plan: (addon, hourly)
        for addon in catalog["addons"]
        for plan, hourly in _priced(addon, left)
    }
    offers: dict[tuple[str, str], Offer] = {}
    for flavor in flavors:
        with left.entry(_named(flavor, "flavor")):
            if str(flavor["osType"]).lower() != "linux":
                continue
            codes = flavor.get("planCodes") or {}
            found = plans.get(codes.get("hourly"))
            if found is None:
                continue
            addon, hourly = found
            region, name = word(flavor["region"], "region"), word(flavor["name"], "name")
            offer = _offer(
                addon,
                region=region,
                name=name,
                vcpus=whole(flavor["vcpus"], "number of vCPUs"),
                memory_gib=_gib(flavor["ram"], _technical(addon).get("memory")),
                disk_gib=whole(flavor["disk"], "disk"),
                availability=_availability(flavor),
                hourly=Money(hourly, currency),
                source=source,
                now=now,
            )
            known = offers.get((region, name))
            if known is None or known.availability != "available":
                offers[region, name] = offer
    return Entries(offers.values(), left.lines())


def public_regions(named: Iterable[str]) -> tuple[str, ...]:
    """The regions of *named* whose prices are public, as OVHcloud spells them."""
    return tuple(name.upper() for name in named if ONE_ZONE.fullmatch(name.upper()))


def read_public_offers(
    catalog: Mapping[str, Any], *, regions: Iterable[str] = (), source: str, now: datetime
) -> Entries[Offer]:
    """Every Linux plan of the regions with one zone; only an account sees the availability."""
    left = LeftOut(PROVIDER)
    currency = str(catalog["locale"]["currencyCode"])
    offers: dict[tuple[str, str], Offer] = {}
    for addon in catalog["addons"]:
        for plan, hourly in _priced(addon, left):
            with left.entry(_named(addon, "plan")):
                technical = _technical(addon)
                name = word(addon.get("invoiceName") or plan.split(".")[0], "name")
                linux = str((technical.get("os") or {}).get("family", "linux")).lower() == "linux"
                plain = plan.endswith((f"{name}.consumption", f"{name}.hour.consumption"))
                tags = (addon.get("blobs") or {}).get("tags") or ["active"]
                if not plain or not linux or "active" not in tags:
                    continue
                cores = whole((technical.get("cpu") or {}).get("cores"), "number of vCPUs")
                memory = amount((technical.get("memory") or {}).get("size"), "memory")
                disks = (technical.get("storage") or {}).get("disks") or [{}]
                for region in tuple(regions) or (ANY_REGION,):
                    offers[region, name] = _offer(
                        addon,
                        region=region,
                        name=name,
                        vcpus=cores,
                        memory_gib=_plain(memory),
                        disk_gib=whole(disks[0].get("capacity"), "disk"),
                        availability="unknown",
                        hourly=Money(hourly, currency),
                        source=source,
                        now=now,
                    )
    return Entries(offers.values(), left.lines())


def _named(entry: Any, kind: str) -> str:
    """The name of an entry in messages, whatever the API sent."""
    if not isinstance(entry, dict):
        return f"a {kind}"
    name = entry.get("planCode") or entry.get("name") or "without a name"
    place = f" in {entry['region']}" if entry.get("region") else ""
    return f"the {kind} {name}{place}"


def _offer(
    addon: Mapping[str, Any],
    *,
    region: str,
    name: str,
    vcpus: int,
    memory_gib: Decimal,
    disk_gib: int,
    availability: Availability,
    hourly: Money,
    source: str,
    now: datetime,
) -> Offer:
    charged = region.startswith(ASIA_PACIFIC)
    price = EGRESS.get(hourly.currency) if charged else None
    return Offer(
        provider=PROVIDER,
        region=region,
        instance_type=name,
        vcpus=vcpus,
        cpu=_cpu(addon),
        architecture="x86_64",
        memory_gib=memory_gib,
        disk_gib=disk_gib,
        hourly=hourly,
        billing=BILLING,
        availability=availability,
        price_as_of=now,
        price_source=source,
        egress_included_gib=Decimal(1024) if charged else None,
        egress_per_gib=Money(price, hourly.currency) if price is not None else None,
        egress_source=EGRESS_SOURCE,
        egress_read_on=EGRESS_READ_ON,
    )


def _priced(addon: Any, left: LeftOut) -> Iterator[tuple[str, Decimal]]:
    """The plan of an instance and its hourly price; nothing for any other addon."""
    found: list[tuple[str, Decimal]] = []
    with left.entry(_named(addon, "plan")):
        if addon.get("product") != "publiccloud-instance":
            return
        plan = word(addon["planCode"], "code")
        hourly = _hourly(addon)
        if hourly is not None:
            found.append((plan, hourly))
        elif "consumption" in plan.split("."):
            raise ValueError("it has no hourly price")
    yield from found


def _hourly(addon: Mapping[str, Any]) -> Decimal | None:
    """The hourly price; None for a plan that is not billed by the hour."""
    for pricing in addon.get("pricings") or ():
        by_use = "consumption" in (pricing.get("capacities") or [pricing.get("type")])
        if by_use and pricing.get("intervalUnit") == "hour" and pricing.get("interval", 1) == 1:
            parts = amount(pricing["price"], "price", least=LEAST_PARTS, most=MOST_PARTS)
            return _plain(parts.scaleb(PARTS))
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
    return "available" if flavor.get("available") is True else "unknown"


def _technical(addon: Mapping[str, Any]) -> Mapping[str, Any]:
    return (addon.get("blobs") or {}).get("technical") or {}


def _gib(ram: object, memory: Mapping[str, Any] | None) -> Decimal:
    """A flavor's memory: its `ram` is documented in GiB and was seen in MiB.

    The unit is the one that comes closer to the catalog's memory of the plan.

    Raises:
        ValueError: it is missing, or contradicts the catalog in both units.
    """
    number = amount(ram, "memory", least=Decimal("0.1"), most=MOST_MIB)
    size = (memory or {}).get("size")
    if size is None:
        return _plain(number / 1024 if number >= FIRST_MIB else number)
    listed = amount(size, "memory in the catalog", least=Decimal("0.1"))
    nearest = min((number, number / 1024), key=lambda either: abs(either - listed))
    if abs(nearest - listed) > listed * TOLERANCE:
        raise ValueError(f"its memory is {number:f}, and {listed:f} GB in the catalog")
    return _plain(nearest)


def _plain(number: Decimal) -> Decimal:
    """The number without trailing zeros and without an exponent."""
    short = number.normalize()
    return short.quantize(Decimal(1)) if short == short.to_integral_value() else short
