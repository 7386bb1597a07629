"""Catalog of the emulated Hetzner Cloud: server types, prices, locations and images.

Shapes and prices in EUR, net, as Hetzner's price adjustment of 2026-06-15 has them
(docs.hetzner.com/general/infrastructure-and-availability/price-adjustment, read 2026-10-09). The
account's currency changes only the currency code beside them. The CX and CAX lines were not on
sale in October 2026, so they are listed as unavailable.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

TB = 1024**4  # as the API counts: 20 TB are 21990232555520 bytes
EUROPE = ("fsn1", "nbg1", "hel1")
LOCATIONS = (
    ("fsn1", "DE", "Falkenstein", "eu-central"),
    ("nbg1", "DE", "Nuremberg", "eu-central"),
    ("hel1", "FI", "Helsinki", "eu-central"),
    ("ash", "US", "Ashburn, VA", "us-east"),
    ("sin", "SG", "Singapore", "ap-southeast"),
)
IMAGES = (
    ("debian-12", "debian", "12", "Debian 12"),
    ("debian-13", "debian", "13", "Debian 13"),
    ("ubuntu-24.04", "ubuntu", "24.04", "Ubuntu 24.04"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The net price of one server type in one location."""

    hourly: Decimal
    monthly: Decimal
    included_traffic: int
    per_tb: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerType:
    """One line of the catalog.

    Attributes:
        withdrawn: Listed with prices, and no longer sold anywhere since 2026-01-01.
        on_sale: Whether `available` is true in its locations.
    """

    id: int
    name: str
    cores: int
    memory_gb: int
    disk_gb: int
    cpu_type: str
    architecture: str
    prices: dict[str, Price]
    on_sale: bool = True
    withdrawn: bool = False


def _europe(hourly: str, monthly: str) -> dict[str, Price]:
    return {
        name: Price(
            hourly=Decimal(hourly),
            monthly=Decimal(monthly),
            included_traffic=20 * TB,
            per_tb=Decimal("1.00"),
        )
        for name in EUROPE
    }


def _abroad(ash: tuple[str, str] | None, sin: tuple[str, str] | None) -> dict[str, Price]:
    prices = {}
    if ash:
        prices["ash"] = Price(
            hourly=Decimal(ash[0]),
            monthly=Decimal(ash[1]),
            included_traffic=1 * TB,
            per_tb=Decimal("1.00"),
        )
    if sin:
        prices["sin"] = Price(
            hourly=Decimal(sin[0]),
            monthly=Decimal(sin[1]),
            included_traffic=1 * TB,
            per_tb=Decimal("7.40"),
        )
    return prices


def _type(
    number: int, name: str, size: tuple[int, int, int], prices: dict[str, Price]
) -> ServerType:
    cores, memory, disk = size
    return ServerType(
        id=number,
        name=name,
        cores=cores,
        memory_gb=memory,
        disk_gb=disk,
        cpu_type="dedicated" if name.startswith("ccx") else "shared",
        architecture="arm" if name.startswith("cax") else "x86",
        prices=prices,
        on_sale=not name.startswith(("cx", "cax")),
        withdrawn=name == "cx22",
    )


SERVER_TYPES = (
    _type(104, "cx22", (2, 4, 40), _europe("0.0060", "3.79")),
    _type(114, "cx23", (2, 4, 40), _europe("0.0088", "5.49")),
    _type(115, "cx33", (4, 8, 80), _europe("0.0136", "8.49")),
    _type(116, "cx43", (8, 16, 160), _europe("0.0256", "15.99")),
    _type(45, "cax11", (2, 4, 40), _europe("0.0096", "5.99")),
    _type(93, "cax21", (4, 8, 80), _europe("0.0168", "10.49")),
    _type(94, "cax31", (8, 16, 160), _europe("0.0336", "20.99")),
    _type(
        119,
        "cpx22",
        (2, 4, 80),
        _europe("0.0312", "19.49") | _abroad(None, ("0.0425", "26.49")),
    ),
    _type(
        120,
        "cpx32",
        (4, 8, 160),
        _europe("0.0569", "35.49") | _abroad(None, ("0.0785", "48.99")),
    ),
    _type(
        121,
        "cpx42",
        (8, 16, 320),
        _europe("0.1114", "69.49") | _abroad(None, ("0.1498", "93.49")),
    ),
    _type(23, "cpx21", (3, 4, 80), _abroad(("0.0513", "31.99"), None)),
    _type(24, "cpx31", (4, 8, 160), _abroad(("0.1001", "62.49"), None)),
    _type(25, "cpx41", (8, 16, 240), _abroad(("0.1931", "120.49"), None)),
    _type(96, "ccx13", (2, 8, 80), _europe("0.0689", "42.99")),
    _type(
        97,
        "ccx23",
        (4, 16, 160),
        _europe("0.1378", "85.99") | _abroad(("0.1402", "87.49"), ("0.1739", "108.49")),
    ),
    _type(98, "ccx33", (8, 32, 240), _europe("0.2219", "138.49")),
)

# The public lists of 2026-10: EUR 0.50 a month and EUR 0.0008 an hour for an IPv4 address, nothing
# for an IPv6 network, EUR 0.0572 for a GB of volume and month.
IPV4_HOURLY = Decimal("0.0008")
IPV4_MONTHLY = Decimal("0.50")
VOLUME_GB_MONTHLY = Decimal("0.0572")
VAT_RATE = Decimal(19)
