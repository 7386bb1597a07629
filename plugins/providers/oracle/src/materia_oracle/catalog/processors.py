"""Oracle's processors: vCPUs per OCPU, and the largest size of their shapes.

vCPUs: Oracle's page "Compute Shapes", "OCPUs and vCPUs" (docs.oracle.com/en-us/iaas/Content/
Compute/References/computeshapes.htm), read 2026-11-29: "1 OCPU on Arm A1 = 1 vCPU", "1 OCPU on Arm
A2 = 2 vCPUs", and two threads a core on x86. The page's units do not name A4: that its OCPU gives
two is from the tests of a tool that reads real instances, read the same day. Largest sizes: the
same page's table of flexible shapes, the smaller figure where an extended memory shape has more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from materia.compute import Architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """The properties of one processor, equal for all its shapes.

    Attributes:
        vcpus_per_ocpu: Hardware threads.
        most_ocpus: Of a flexible virtual machine.
        most_memory_gb: Of a flexible virtual machine.
    """

    architecture: Architecture
    vcpus_per_ocpu: int
    most_ocpus: int
    most_memory_gb: int


def _arm(vcpus: int, most_ocpus: int, most_memory_gb: int) -> Processor:
    return Processor(
        architecture="arm64",
        vcpus_per_ocpu=vcpus,
        most_ocpus=most_ocpus,
        most_memory_gb=most_memory_gb,
    )


def _x86(most_ocpus: int, most_memory_gb: int) -> Processor:
    return Processor(
        architecture="x86_64",
        vcpus_per_ocpu=2,
        most_ocpus=most_ocpus,
        most_memory_gb=most_memory_gb,
    )


# By family and series of the price list; `Ax` series have prices of their own.
PROCESSORS: Mapping[tuple[str, str], Processor] = {
    ("Standard", "A1"): _arm(1, 80, 512),
    ("Standard", "A2"): _arm(2, 78, 946),
    ("Standard", "A4"): _arm(2, 45, 700),
    ("Standard", "A4 Ax"): _arm(2, 45, 700),
    ("Standard", "E3"): _x86(64, 1024),
    ("Standard", "E4"): _x86(64, 1024),
    ("Standard", "E5"): _x86(94, 1049),
    ("Standard", "E6"): _x86(94, 1049),
    ("Standard", "E6 Ax"): _x86(94, 712),
    ("Standard", "X9"): _x86(32, 512),
    ("Standard", "X12 Ax"): _x86(39, 360),
    ("Optimized", "X9"): _x86(18, 256),
}
# AMD's E and Intel's X all have two threads a core; the size is that of the smallest above.
OTHER_X86 = _x86(18, 256)
# Series that are not part of their shapes' names: `VM.Standard3.Flex` is priced as X9.
NUMBERED = {("Standard", "1"): "X5", ("Standard", "2"): "X7", ("Standard", "3"): "X9",
            ("Standard", "4"): "X12", ("Optimized", "3"): "X9"}  # fmt: skip
SHAPE = re.compile(r"VM\.(Standard|Optimized)(\d*)(?:\.([A-Z]\d+))?(\.Ax)?\.(?:Flex|\d+)")


def series_of(shape: str) -> tuple[str, str] | None:
    """Family and series in the price list for a shape's name; None when the name is not known."""
    found = SHAPE.fullmatch(shape)
    if found is None:
        return None
    family, number, series, accelerated = found.groups()
    name = series or NUMBERED.get((family, number))
    return (family, f"{name} Ax" if accelerated else name) if name else None


def shape_of(family: str, series: str) -> str:
    """The name of the flexible shape of a series, as `series_of` reads it."""
    name = series.removesuffix(" Ax")
    accelerated = ".Ax" if name != series else ""
    numbers = {(kind, known): number for (kind, number), known in NUMBERED.items()}
    number = numbers.get((family, name))
    return f"VM.{family}{number or f'.{name}'}{accelerated}.Flex"


def processor_of(series: tuple[str, str] | None) -> Processor | None:
    """The processor of a series; None for an Arm series that is not in the table.

    Arm series differ in vCPUs per OCPU, so materia does not guess for a new one.
    """
    if series is None:
        return None
    known = PROCESSORS.get(series)
    if known is None and series[1].startswith(("E", "X")):
        return OTHER_X86
    return known
