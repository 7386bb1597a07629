"""Shapes -> offers: sized to what is needed, priced from the list. Pure functions.

Oracle's price list: "1 OCPU on x86 = 2 vCPUs, 1 OCPU on Arm (Ampere) = 1 vCPU"; at a minimum a
minute is charged, then seconds; the same for block volumes (oracle.com/cloud/price-list, notes to
Compute and Block Volume).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_CEILING, Decimal

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

from materia_oracle.price_list import PriceList, Series, egress_part

PROVIDER = "oracle"
PER_SECOND = Billing(
    increment=timedelta(seconds=1),
    minimum=timedelta(minutes=1),
    source="https://www.oracle.com/cloud/price-list/",
    read_on=date(2026, 11, 23),
)
BOOT_VOLUME_GB = 50  # the smallest
BOOT_VOLUME_VPUS = 10  # "balanced"
# A month's price is charged by the second; Oracle's cost estimator counts 31 days.
HOURS_A_MONTH = 744
# What a flexible shape gives where nothing says more (Oracle docs, "Flexible shapes").
GB_PER_OCPU = (1, 64)
# Series that are not part of their shapes' names.
NUMBERED = {("Standard", "1"): "X5", ("Standard", "2"): "X7", ("Standard", "3"): "X9",
            ("Optimized", "3"): "X9"}  # fmt: skip
SHAPE = re.compile(r"VM\.(Standard|Optimized)(\d*)(?:\.([A-Z]\d+))?\.(Flex|\d+)")
STOCK: Mapping[str, Availability] = {
    "AVAILABLE": "available",
    "OUT_OF_HOST_CAPACITY": "unavailable",
    "HARDWARE_NOT_SUPPORTED": "unavailable",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A shape in one place, as the API or the price list describes it.

    Attributes:
        name: For example `VM.Standard.E5.Flex`.
        ocpus: Fewest and most; equal for a fixed shape.
        memory_gb: Fewest and most.
        gb_per_ocpu: Fewest and most, of a flexible shape.
        cpu: Whether the processor is shared.
    """

    name: str
    ocpus: tuple[int, int]
    memory_gb: tuple[Decimal, Decimal]
    gb_per_ocpu: tuple[Decimal, Decimal]
    cpu: Cpu = "dedicated"

    @property
    def series(self) -> tuple[str, str] | None:
        """Family and name in the price list, or None when it cannot be told."""
        found = SHAPE.fullmatch(self.name)
        if found is None:
            return None
        family, number, series, _ = found.groups()
        name = series or NUMBERED.get((family, number))
        return (family, name) if name else None

    @property
    def flexible(self) -> bool:
        """Whether OCPUs and memory are chosen."""
        return self.name.endswith(".Flex")

    @property
    def architecture(self) -> Architecture:
        """Ampere's series begin with A."""
        series = self.series
        return "arm64" if series is not None and series[1].startswith("A") else "x86_64"

    @property
    def vcpus_per_ocpu(self) -> int:
        """Hardware threads."""
        return 1 if self.architecture == "arm64" else 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What is asked for of a shape."""

    ocpus: int
    memory_gb: Decimal


def size(shape: Shape, requirements: Requirements) -> Size | None:
    """The smallest size of *shape* that is enough, or its largest; None: a shape without sizes.

    A shape that is too small still gives an offer: whoever asks filters.
    """
    fewest, most = shape.ocpus
    smallest, largest = shape.memory_gb
    low, high = shape.gb_per_ocpu
    if most < 1 or largest < 1 or high <= 0:
        return None
    memory = max(requirements.memory_gib.to_integral_value(ROUND_CEILING), smallest)
    memory = min(memory, largest)
    by_cpu = -(-requirements.vcpus // shape.vcpus_per_ocpu)
    by_memory = int((memory / high).to_integral_value(ROUND_CEILING))
    ocpus = min(max(by_cpu, by_memory, fewest, 1), most)
    memory = min(max(memory, low * ocpus), high * ocpus, largest)
    return Size(ocpus=ocpus, memory_gb=memory)


def read_offer_size(offer: Offer) -> tuple[float, float] | None:
    """OCPUs and memory in GB that an offer of a flexible shape stands for; None for a fixed one."""
    if not offer.instance_type.endswith(".Flex"):
        return None
    per_ocpu = 1 if offer.architecture == "arm64" else 2
    return offer.vcpus / per_ocpu, float(offer.memory_gib)


def offers(
    shapes: Iterable[Shape],
    prices: PriceList,
    requirements: Requirements,
    *,
    region: str,
    zone: str = "",
    stock: Mapping[str, str] | None = None,
) -> list[Offer]:
    """An offer for each shape that has a price; a shape without one is left out."""
    found = [
        _offer(shape, prices, requirements, region=region, zone=zone, stock=stock or {})
        for shape in shapes
    ]
    return [offer for offer in found if offer is not None]


def _offer(
    shape: Shape,
    prices: PriceList,
    requirements: Requirements,
    *,
    region: str,
    zone: str,
    stock: Mapping[str, str],
) -> Offer | None:
    series = prices.series.get(shape.series) if shape.series else None
    chosen = size(shape, requirements)
    # A flexible shape pays for its memory: without that price it has none.
    if series is None or chosen is None or (shape.flexible and series.memory is None):
        return None
    disk = max(requirements.disk_gib, BOOT_VOLUME_GB)
    monthly = (prices.storage + BOOT_VOLUME_VPUS * prices.performance) * disk
    included, per_gib = _egress(prices, region)
    return Offer(
        provider=PROVIDER,
        region=region,
        zone=zone,
        instance_type=shape.name,
        vcpus=chosen.ocpus * shape.vcpus_per_ocpu,
        cpu=shape.cpu,
        architecture=shape.architecture,
        memory_gib=Decimal(f"{chosen.memory_gb.normalize():f}"),
        disk_gib=disk,
        hourly=Money(_hourly(series, chosen), prices.currency),
        billing=PER_SECOND,
        availability=STOCK.get(stock.get(shape.name, ""), "unknown"),
        price_as_of=prices.as_of,
        price_source=prices.source,
        extras=(
            Extra(
                name=f"boot volume, {disk} GB",
                hourly=Money(monthly / HOURS_A_MONTH, prices.currency),
                source=prices.source,
            ),
        ),
        egress_included_gib=included,
        egress_per_gib=per_gib,
        egress_source=prices.source,
    )


def _hourly(series: Series, chosen: Size) -> Decimal:
    return chosen.ocpus * series.ocpu + chosen.memory_gb * (series.memory or Decimal(0))


def _egress(prices: PriceList, region: str) -> tuple[Decimal | None, Money | None]:
    tiers = prices.egress.get(egress_part(region), ())
    if not tiers or tiers[-1].price == 0:
        return None, None
    return tiers[-1].above, Money(tiers[-1].price, prices.currency)


def listed_shapes(prices: PriceList) -> list[Shape]:
    """The flexible shapes of the price list, with the limits that all of them have."""
    numbers = {(family, series): number for (family, number), series in NUMBERED.items()}
    shapes = []
    for (family, series), price in sorted(prices.series.items()):
        if price.memory is None:
            continue  # a fixed shape: nothing here says how large it is
        number = numbers.get((family, series), "")
        name = f"VM.{family}{number}.Flex" if number else f"VM.{family}.{series}.Flex"
        low, high = GB_PER_OCPU
        shapes.append(
            Shape(
                name=name,
                ocpus=(1, 64),
                memory_gb=(Decimal(1), Decimal(1024)),
                gb_per_ocpu=(Decimal(low), Decimal(high)),
            )
        )
    return shapes
