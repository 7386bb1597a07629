"""Catalog of the emulated OVHcloud Public Cloud: flavors by region, and the public prices.

Hourly prices in EUR, net, read from OVHcloud's catalog on 2026-10-10 for d2-4, d2-8, b3-8 and
c3-4; the others are invented in proportion to their size. Regions with three zones cost a sixth
more here.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

THREE_ZONES = "EU-WEST-PAR"
REGIONS = ("GRA11", "SBG5", "BHS5", "SGP1", THREE_ZONES)
# Currencies other than EUR use invented rates, close to those of 2026-10.
CURRENCIES = {
    "IE": ("EUR", Decimal(1), 23),
    "FR": ("EUR", Decimal(1), 20),
    "GB": ("GBP", Decimal("0.87"), 20),
    "PL": ("PLN", Decimal("4.25"), 23),
    "WE": ("USD", Decimal("1.15"), 0),
    "CA": ("CAD", Decimal("1.6"), 0),
    "US": ("USD", Decimal("1.15"), 0),
}
# The subsidiaries that each real API serves; it refuses those of another continent.
SERVED = {"eu": ("IE", "FR", "GB", "PL"), "ca": ("WE", "CA"), "us": ("US",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavor:
    """An instance type, the same in every region but for its id."""

    name: str
    vcpus: int
    ram_gib: int
    disk_gib: int
    hourly: Decimal
    family: str
    os_type: str = "linux"


def _flavor(name: str, size: tuple[int, int, int], hourly: str, family: str) -> Flavor:
    vcpus, ram, disk = size
    return Flavor(
        name=name,
        vcpus=vcpus,
        ram_gib=ram,
        disk_gib=disk,
        hourly=Decimal(hourly),
        family=family,
        os_type="windows" if name.startswith("win-") else "linux",
    )


FLAVORS = (
    _flavor("d2-4", (2, 4, 50), "0.0288", "discovery"),
    _flavor("d2-8", (4, 8, 50), "0.0576", "discovery"),
    _flavor("b3-8", (2, 8, 50), "0.0576", "general purpose"),
    _flavor("b3-16", (4, 16, 100), "0.1152", "general purpose"),
    _flavor("c3-4", (2, 4, 50), "0.0480", "compute"),
    _flavor("c3-8", (4, 8, 100), "0.0960", "compute"),
    _flavor("r3-16", (2, 16, 50), "0.0820", "memory"),
    _flavor("win-b3-8", (2, 8, 50), "0.0950", "general purpose"),
)
# Flavors that are sold out or above the project's quota, by region.
SOLD_OUT = frozenset({("SBG5", "c3-4"), (THREE_ZONES, "b3-16")})
NO_QUOTA = frozenset({"r3-16"})
IMAGES = (
    ("Debian 12", "debian"),
    ("Debian 13", "debian"),
    ("Ubuntu 24.04", "ubuntu"),
    ("Ubuntu 22.04", "ubuntu"),
)


def plan_code(flavor: Flavor, region: str) -> str:
    """The plan under which the catalog prices a flavor in that region."""
    suffix = ".3AZ" if region == THREE_ZONES else ""
    return f"{flavor.name}.consumption{suffix}"


def hourly(flavor: Flavor, region: str) -> Decimal:
    """The price of one hour in that region, in EUR."""
    return (
        (flavor.hourly * 7 / 6).quantize(Decimal("0.0001"))
        if region == THREE_ZONES
        else (flavor.hourly)
    )


def catalog(subsidiary: str) -> dict[str, Any]:
    """The public catalog, with prices in hundred-millionths of the currency."""
    currency, rate, tax = CURRENCIES[subsidiary]
    addons = []
    for flavor in FLAVORS:
        for region in (REGIONS[0], THREE_ZONES):
            price = hourly(flavor, region) * rate
            addons.append(_addon(flavor, plan_code(flavor, region), price, "hour", tax))
        monthly = flavor.hourly * 365
        addons.append(
            _addon(flavor, f"{flavor.name}.monthly.postpaid", monthly * rate, "month", tax)
        )
    return {
        "catalogId": 4711,
        "locale": {"currencyCode": currency, "subsidiary": subsidiary, "taxRate": tax},
        "plans": [],
        "products": [{"name": "publiccloud-instance", "description": "Instance"}],
        "planFamilies": [],
        "addons": addons,
    }


def _addon(flavor: Flavor, plan: str, price: Decimal, unit: str, tax: int) -> dict[str, Any]:
    units = int((price * 10**8).to_integral_value())
    return {
        "planCode": plan,
        "invoiceName": flavor.name,
        "product": "publiccloud-instance",
        "pricingType": "consumption" if unit == "hour" else "rental",
        "addonFamilies": [],
        "configurations": [],
        "pricings": [
            {
                "phase": 1,
                "commitment": 0,
                "description": "Pay as you go" if unit == "hour" else "Monthly",
                "capacities": ["consumption"] if unit == "hour" else ["renew"],
                "mode": "default",
                "type": "consumption" if unit == "hour" else "rental",
                "strategy": "tiered",
                "interval": 1,
                "intervalUnit": unit,
                "price": units,
                "tax": units * tax // 100,
                "mustBeCompleted": False,
                "quantity": {"min": 1, "max": None},
                "repeat": {"min": 1, "max": None},
            }
        ],
        "blobs": {
            "commercial": {
                "name": flavor.name,
                "brick": "compute",
                "brickSubtype": flavor.family,
            },
            "technical": {
                "name": flavor.name,
                "os": {"family": flavor.os_type},
                "cpu": {"cores": flavor.vcpus, "frequency": 2.3},
                "memory": {"size": flavor.ram_gib},
                "storage": {"disks": [{"capacity": flavor.disk_gib, "technology": "NVMe"}]},
                "bandwidth": {"level": 500},
            },
            "tags": ["active"],
        },
    }
