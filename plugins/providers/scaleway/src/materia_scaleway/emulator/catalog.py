"""Catalog of the emulated Scaleway: server types, zones, stock and images.

Prices in EUR, net, as Scaleway's price list had them in August 2026: equal in every zone that has
the type. Stock and end of service are chosen so that each case occurs.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

GIB = 1024**3
ZONES = ("fr-par-1", "fr-par-2", "nl-ams-1", "it-mil-1")
# Zones that exist and have no offers here; Scaleway docs, 2026-08.
EMPTY_ZONES = ("fr-par-3", "nl-ams-2", "nl-ams-3", "pl-waw-1", "pl-waw-2", "pl-waw-3")
# Per GB and hour, for 5,000 and 15,000 IOPS.
VOLUME_HOURLY = {"sbs_5k": Decimal("0.000118"), "sbs_15k": Decimal("0.000177")}
ADDRESS_HOURLY = Decimal("0.004")
ADDRESS_MINIMUM = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A server type.

    Attributes:
        shared: The catalog's field for the processor; None leaves the field out, as the catalog did
            before July 2026.
        zones: Where it exists.
        status: Of the product.
        end_of_life_at: In the catalog's format, or None.
        windows: Only in the list of types: its price includes a licence.
    """

    name: str
    vcpus: int
    memory_gib: int
    hourly: str
    range: str
    architecture: str = "x86_64"
    shared: bool | None = None
    zones: tuple[str, ...] = ZONES
    stock: str = "available"
    status: str = "general_availability"
    end_of_life_at: str | None = None
    windows: bool = False
    local_gb: int = 0

    @property
    def price(self) -> Decimal:
        """The price of an hour in EUR."""
        return Decimal(self.hourly)


KINDS = (
    Kind(name="BASIC2-A2C-8G", vcpus=2, memory_gib=8, hourly="0.0345", range="General Purpose",
         architecture="arm64", zones=("fr-par-1", "fr-par-2"), stock="scarce"),
    Kind(name="BASIC2-A4C-16G", vcpus=4, memory_gib=16, hourly="0.0689", range="General Purpose",
         architecture="arm64", zones=("fr-par-1", "fr-par-2")),
    Kind(name="BASIC3-X2C-8G", vcpus=2, memory_gib=8, hourly="0.059225", range="General Purpose"),
    Kind(name="DEV1-L", vcpus=4, memory_gib=8, hourly="0.04284", range="Development",
         shared=True, local_gb=80),
    Kind(name="DEV1-S", vcpus=2, memory_gib=2, hourly="0.008976", range="Development",
         shared=True, local_gb=20),
    Kind(name="ENT1-S", vcpus=8, memory_gib=32, hourly="0.29", range="General Purpose",
         status="retired", end_of_life_at="2025-09-01T00:00:00Z"),
    Kind(name="GP1-XS", vcpus=4, memory_gib=16, hourly="0.09282", range="General Purpose",
         local_gb=150),
    Kind(name="PLAY2-MICRO", vcpus=4, memory_gib=8, hourly="0.05508", range="Development",
         shared=True, end_of_life_at="2027-06-30T00:00:00Z", status="end_of_new_features"),
    Kind(name="POP2-2C-8G", vcpus=2, memory_gib=8, hourly="0.0735", range="General Purpose",
         shared=False),
    Kind(name="POP2-2C-8G-WIN", vcpus=2, memory_gib=8, hourly="0.1823", range="General Purpose",
         windows=True),
    Kind(name="POP2-4C-16G", vcpus=4, memory_gib=16, hourly="0.147", range="General Purpose",
         shared=False),
    Kind(name="PRO2-XS", vcpus=4, memory_gib=16, hourly="0.1122", range="General Purpose",
         shared=True),
    Kind(name="PRO2-XXS", vcpus=2, memory_gib=8, hourly="0.0561", range="General Purpose",
         shared=True),
    Kind(name="STANDARD3-X4C-16G", vcpus=4, memory_gib=16, hourly="0.1617",
         range="General Purpose", zones=("it-mil-1",), stock="shortage"),
)  # fmt: skip
IMAGES = (
    ("debian_bookworm", "Debian Bookworm"),
    ("ubuntu_jammy", "Ubuntu 22.04 Jammy Jellyfish"),
    ("ubuntu_noble", "Ubuntu 24.04 Noble Numbat"),
)
ARCHITECTURES = ("x86_64", "arm64")


def kinds_in(zone: str) -> list[Kind]:
    """The types of a zone, by name."""
    return [kind for kind in KINDS if zone in kind.zones]
