"""Offers of Oracle: shapes sized to the requirements and priced from the list; pure functions.

Oracle charges at least a minute, then by the second; the same for block volumes (oracle.com/cloud/
price-list, notes to Compute and Block Volume). The vCPUs per OCPU are in `processors.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_CEILING, Decimal

from materia.compute import Availability, Billing, Cpu, Extra, Money, Offer, Requirements
from materia.errors import NoOfferError
from materia_providers.list_entries import LeftOut

from materia_oracle.catalog.price_list import PriceList, Series, egress_part
from materia_oracle.catalog.processors import Processor, processor_of, series_of, shape_of

PROVIDER = "oracle"
PER_SECOND = Billing(
    increment=timedelta(seconds=1),
    minimum=timedelta(minutes=1),
    source="https://www.oracle.com/cloud/price-list/",
    read_on=date(2026, 11, 23),
)
BOOT_VOLUME_GB = 50  # the smallest
BOOT_VOLUME_VPUS = 10  # "balanced"
# Oracle charges a month's price by the second; its cost estimator counts 31 days.
HOURS_A_MONTH = 744
# The default limits of a flexible shape (Oracle docs, "Flexible shapes").
GB_PER_OCPU = (1, 64)
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
        """Family and series in the price list, or None when the name is not known."""
        return series_of(self.name)

    @property
    def processor(self) -> Processor | None:
        """Its processor, or None when that is not known."""
        return processor_of(self.series)

    @property
    def flexible(self) -> bool:
        """Whether the user chooses OCPUs and memory."""
        return self.name.endswith(".Flex")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The size that is required of a shape."""

    ocpus: int
    memory_gb: Decimal


def size(shape: Shape, requirements: Requirements) -> Size | None:
    """The smallest size of *shape* that is enough, or its largest; None when sizes are not known.

    A shape that is too small still gives an offer: the caller filters.
    """
    fewest, most = shape.ocpus
    smallest, largest = shape.memory_gb
    low, high = shape.gb_per_ocpu
    processor = shape.processor
    if processor is None or most < 1 or largest < 1 or high <= 0:
        return None
    memory = max(requirements.memory_gib.to_integral_value(ROUND_CEILING), smallest)
    memory = min(memory, largest)
    by_cpu = -(-requirements.vcpus // processor.vcpus_per_ocpu)
    by_memory = int((memory / high).to_integral_value(ROUND_CEILING))
    ocpus = min(max(by_cpu, by_memory, fewest, 1), most)
    memory = min(max(memory, low * ocpus), high * ocpus, largest)
    return Size(ocpus=ocpus, memory_gb=memory)


def read_offer_size(offer: Offer) -> tuple[float, float] | None:
    """OCPUs and memory in GB of an offer of a flexible shape; None for a fixed one.

    Raises:
        NoOfferError: the vCPUs per OCPU of that shape are not known, and so its price.
    """
    if not offer.instance_type.endswith(".Flex"):
        return None
    processor = processor_of(series_of(offer.instance_type))
    if processor is None:
        raise NoOfferError(
            f"oracle: cannot launch {offer.instance_type}: its vCPUs per OCPU are not known; "
            "read the prices again"
        )
    return offer.vcpus / processor.vcpus_per_ocpu, float(offer.memory_gib)


def offers(
    shapes: Iterable[Shape],
    prices: PriceList,
    requirements: Requirements,
    *,
    region: str,
    zone: str = "",
    stock: Mapping[str, str] | None = None,
    left: LeftOut | None = None,
) -> list[Offer]:
    """An offer for each shape that has a price; a shape without one is left out.

    *left* records a shape that has a price and no known size.
    """
    left = LeftOut(PROVIDER) if left is None else left
    found = []
    for shape in shapes:
        priced = shape.series in prices.series
        if priced and shape.processor is None:
            left.add(shape.name, "this version does not know its number of vCPUs per OCPU")
            continue
        with left.entry(f"{shape.name} in {zone or region}"):
            offer = _offer(shape, prices, requirements, region=region, zone=zone, stock=stock or {})
            if offer is not None:
                found.append(offer)
    return found


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
    chosen, processor = size(shape, requirements), shape.processor
    if series is None or processor is None or chosen is None:
        return None
    # A flexible shape pays for its memory: without that price it has no price.
    if shape.flexible and series.memory is None:
        return None
    disk = max(requirements.disk_gib, BOOT_VOLUME_GB)
    monthly = (prices.storage + BOOT_VOLUME_VPUS * prices.performance) * disk
    included, per_gib = _egress(prices, region)
    return Offer(
        provider=PROVIDER,
        region=region,
        zone=zone,
        instance_type=shape.name,
        vcpus=chosen.ocpus * processor.vcpus_per_ocpu,
        cpu=shape.cpu,
        architecture=processor.architecture,
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
    if not tiers:
        return Decimal(0), None  # without a price in the list the cost is unknown, not zero
    return tiers[-1].above, Money(tiers[-1].price, prices.currency)


def listed_shapes(prices: PriceList) -> list[Shape]:
    """The flexible shapes of the price list, limited to the size of their processor."""
    shapes = []
    for (family, series), price in sorted(prices.series.items()):
        if price.memory is None:
            continue  # a fixed shape: the list does not contain its size
        processor = processor_of((family, series))
        low, high = GB_PER_OCPU
        shapes.append(
            Shape(
                name=shape_of(family, series),
                ocpus=(1, processor.most_ocpus if processor else 1),
                memory_gb=(Decimal(1), Decimal(processor.most_memory_gb if processor else 1)),
                gb_per_ocpu=(Decimal(low), Decimal(high)),
            )
        )
    return shapes
