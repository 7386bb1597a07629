"""Catalog of the emulated Oracle Cloud: shapes, availability domains, images and the price list.

Part numbers, names and prices in USD follow Oracle's public price list of January 2026, with the
tiers that A1 and outbound traffic have there. The list in EUR is the same at a fixed rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

REGION = "eu-frankfurt-1"
DOMAINS = tuple(f"Emul:EU-FRANKFURT-1-AD-{number}" for number in (1, 2, 3))
RATES = {"USD": Decimal(1), "EUR": Decimal("0.92")}
LIST_UPDATED = "2026-01-05T13:27:33.583Z"
HOURS_A_MONTH = 744
STORAGE = Decimal("0.0255")
PERFORMANCE = Decimal("0.0017")
NO_END = 999999999999999
TIERS = {"B93297": 3000, "B93298": 18000, "B88327": 10240, "B93455": 10240, "B93456": 10240}

VM = "Compute - Virtual Machine"
NETWORK = "Networking - Virtual Cloud Networks"
VOLUMES = "Storage - Block Volumes"
OCPU = "OCPU Per Hour"
GIGABYTES = "Gigabytes Per Hour"
OUTBOUND = "Outbound Data Transfer - Originating in"
# Part number, name, metric, category, price in USD.
PRODUCTS = (
    ("B109529", "Compute - Standard - A2 OCPU", OCPU, VM, "0.014"),
    ("B109530", "Compute - Standard - A2 Memory", GIGABYTES, VM, "0.002"),
    ("B112145", "OCI - Compute - Standard - A4 - OCPU", OCPU, VM, "0.0138"),
    ("B112146", "OCI - Compute - Standard - A4 - Memory", "Gigabyte Per Hour", VM, "0.0027"),
    ("B111129", "OCI - Compute - Standard - E6 - OCPU", OCPU, VM, "0.03"),
    ("B111130", "OCI - Compute - Standard - E6 - Memory", GIGABYTES, VM, "0.002"),
    ("B88318", "Compute - Windows OS", OCPU, "Compute - OS Images", "0.092"),
    ("B88514", "Compute - Virtual Machine Standard - X7", OCPU, VM, "0.0638"),
    ("B91444", "Compute - Virtual Machine Standard - E2 Micro - Free", OCPU, VM, "0"),
    ("B91961", "Storage - Block Volume - Storage", "Gigabyte Storage Capacity Per Month",
     VOLUMES, "0.0255"),
    ("B91962", "Storage - Block Volume - Performance Units",
     "Performance Units Per Gigabyte Per Month", VOLUMES, "0.0017"),
    ("B93113", "Compute - Standard - E4 - OCPU", OCPU, VM, "0.025"),
    ("B93114", "Compute - Standard - E4  - Memory", "Gigabyte Per Hour", VM, "0.0015"),
    ("B93121", "Compute - Dense I/O - E4 - OCPU", OCPU, VM, "0.025"),
    ("B93297", "Compute - Standard - A1 - OCPU", OCPU, VM, "0.01"),
    ("B93298", "Compute - Standard - A1 - Memory", "Gigabyte Per Hour", VM, "0.0015"),
    ("B93311", "Compute - Optimized - X9 - OCPU", OCPU, VM, "0.054"),
    ("B93312", "Compute - Optimized - X9 - Memory", "Gigabyte Per Hour", VM, "0.0015"),
    ("B94176", "Compute - Standard - X9 - OCPU", OCPU, VM, "0.04"),
    ("B94177", "Compute - Standard - X9 - Memory", GIGABYTES, VM, "0.0015"),
    ("B96479", "Oracle Compute Cloud@Customer - Compute - Standard - E5", OCPU,
     "Compute Cloud@Customer", "0.03"),
    ("B97384", "Compute - Standard - E5 - OCPU", OCPU, VM, "0.03"),
    ("B97385", "Compute - Standard - E5 - Memory", GIGABYTES, VM, "0.002"),
    ("B88327", f"{OUTBOUND} North America, Europe, and UK",
     "Gigabyte Outbound Data Transfer Per Month", NETWORK, "0.0085"),
    ("B93455", f"{OUTBOUND} APAC, Japan, and South America",
     "Gigabyte Outbound Data Transfer Per Month", NETWORK, "0.025"),
    ("B93456", f"{OUTBOUND} Middle East and Africa",
     "Gigabyte Outbound Data Transfer Per Month", NETWORK, "0.05"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One shape.

    Attributes:
        ocpu: Price of an OCPU-hour in USD.
        memory: Price of a GB-hour in USD.
        domains: Numbers of the availability domains that have it.
        fixed: OCPUs and GB of a shape that is not flexible.
    """

    name: str
    ocpu: str
    memory: str
    arm: bool = False
    domains: tuple[int, ...] = (1, 2, 3)
    fixed: tuple[int, int] | None = None
    most_ocpus: int = 64
    billing: str = "PAID"
    subcore: bool = False

    @property
    def flexible(self) -> bool:
        """Whether the user chooses OCPUs and memory."""
        return self.fixed is None

    def hourly(self, ocpus: float, memory_gb: float, currency: str) -> Decimal:
        """Price of an hour at that size."""
        usd = Decimal(str(ocpus)) * Decimal(self.ocpu) + Decimal(str(memory_gb)) * Decimal(
            self.memory
        )
        return usd * RATES[currency]

    @property
    def vcpus_per_ocpu(self) -> int:
        """The vCPUs per OCPU, from Oracle's page of shapes: two, and one for Arm A1."""
        return 1 if ".A1." in self.name else 2


SHAPES = (
    Shape(name="VM.Standard.A1.Flex", ocpu="0.01", memory="0.0015", arm=True, domains=(2,),
          most_ocpus=80, billing="LIMITED_FREE"),
    Shape(name="VM.Standard.A2.Flex", ocpu="0.014", memory="0.002", arm=True, domains=(3,),
          most_ocpus=78),
    Shape(name="VM.Standard.A4.Flex", ocpu="0.0138", memory="0.0027", arm=True, domains=(3,),
          most_ocpus=45),
    Shape(name="VM.Standard.E2.1.Micro", ocpu="0", memory="0", fixed=(1, 1),
          billing="ALWAYS_FREE", subcore=True),
    Shape(name="VM.Standard.E4.Flex", ocpu="0.025", memory="0.0015"),
    Shape(name="VM.Standard.E5.Flex", ocpu="0.03", memory="0.002", most_ocpus=94),
    Shape(name="VM.Standard.E6.Flex", ocpu="0.03", memory="0.002", domains=(1, 3),
          most_ocpus=94),
    Shape(name="VM.Standard2.2", ocpu="0.0638", memory="0", fixed=(2, 30)),
    Shape(name="VM.Standard3.Flex", ocpu="0.04", memory="0.0015", most_ocpus=32),
    Shape(name="BM.Standard.E4.128", ocpu="0.025", memory="0.0015", fixed=(128, 2048)),
)  # fmt: skip
# Operating system, version, date of the image.
IMAGES = (
    ("Canonical Ubuntu", "22.04", "2026.07.30"),
    ("Canonical Ubuntu", "24.04", "2026.06.18"),
    ("Canonical Ubuntu", "24.04", "2026.07.31"),
    ("Canonical Ubuntu", "24.04 Minimal", "2026.07.31"),
    ("Oracle Linux", "9", "2026.07.20"),
)


def price_items(currency: str, part: str) -> list[dict[str, Any]]:
    """The rows of the price list in *currency*, or the one of that part number."""
    return [
        {
            "partNumber": number,
            "displayName": name,
            "metricName": metric,
            "serviceCategory": category,
            "currencyCodeLocalizations": [
                {"currencyCode": currency, "prices": _prices(number, price, currency)}
            ],
        }
        for number, name, metric, category, price in PRODUCTS
        if part in ("", number)
    ]


def _prices(number: str, price: str, currency: str) -> list[dict[str, Any]]:
    value = float(Decimal(price) * RATES[currency])
    free = TIERS.get(number)
    if free is None:
        return [{"model": "PAY_AS_YOU_GO", "value": value}]
    first = {"model": "PAY_AS_YOU_GO", "value": 0, "rangeMin": 0, "rangeMax": free}
    rest = {"model": "PAY_AS_YOU_GO", "value": value, "rangeMin": free, "rangeMax": NO_END}
    return [first, rest]


def images() -> list[dict[str, Any]]:
    """Platform images, oldest first: for each one an x86 and an Arm one."""
    found: list[dict[str, Any]] = []
    for system, version, date in IMAGES:
        for arm in (False, True):
            words = [*system.split(), *version.split(), *(["aarch64"] if arm else []), date, "0"]
            name = "-".join(words)
            found.append(
                {
                    "id": f"ocid1.image.oc1.{REGION}.{name.lower().replace('.', '')}",
                    "displayName": name,
                    "compartmentId": None,
                    "baseImageId": None,
                    "createImageAllowed": True,
                    "launchMode": "NATIVE",
                    "lifecycleState": "AVAILABLE",
                    "operatingSystem": system,
                    "operatingSystemVersion": version,
                    "sizeInMBs": 47694,
                    "billableSizeInGBs": 3,
                    "timeCreated": f"{date.replace('.', '-')}T10:00:00.000Z",
                    "freeformTags": {},
                    "definedTags": {},
                    "listingType": None,
                }
            )
    return sorted(found, key=lambda image: (str(image["timeCreated"]), str(image["displayName"])))
