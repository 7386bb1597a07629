"""Ask for prices, and every availability domain for its shapes and stock, all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from typing import Any

from materia.errors import NoOfferError, ProviderError
from materia.machines import Offer, Requirements
from oci.core import models  # type: ignore[import-untyped]

from materia_oracle.client import Place
from materia_oracle.errors import translated
from materia_oracle.price_list import fetch
from materia_oracle.shapes import GB_PER_OCPU, Shape, offers, size


def offers_of(
    place: Place, requirements: Requirements, price_list_url: str = ""
) -> Sequence[Offer]:
    """The offers of all availability domains.

    Raises:
        NoOfferError: the region is not among those required, or has nothing with a price.
        ProviderError: shapes or prices cannot be read.
    """
    domains = [
        domain
        for domain in domains_of(place)
        if not requirements.regions
        or place.region in requirements.regions
        or domain in requirements.regions
    ]
    if not domains:
        raise NoOfferError(
            f"oracle: only the region in OCI_CLI_REGION is in use, not "
            f"{', '.join(requirements.regions)}"
        )
    prices = fetch(price_list_url, requirements.currency)

    def ask(domain: str) -> list[Offer]:
        shapes = _shapes(place, domain)
        stock = _stock(place, domain, shapes, requirements)
        return offers(shapes, prices, requirements, region=place.region, zone=domain, stock=stock)

    with ThreadPoolExecutor(max_workers=len(domains)) as pool:
        found = [offer for answer in pool.map(ask, domains) for offer in answer]
    if not found:
        raise NoOfferError(f"oracle: no shape in {place.region} that the price list knows")
    return found


def domains_of(place: Place) -> list[str]:
    """The availability domains of the region, by name."""
    found = place.clients.again(
        "list availability domains",
        partial(place.clients.identity.list_availability_domains, place.compartment),
    ).data
    return sorted(one.name for one in found)


def _shapes(place: Place, domain: str) -> list[Shape]:
    found = place.clients.every(
        f"list shapes in {domain}",
        place.clients.compute.list_shapes,
        compartment_id=place.compartment,
        availability_domain=domain,
    )
    # A shape is listed once for each image it can boot.
    with translated(f"read shapes in {domain}"):
        shapes = {one.shape: _shape(one) for one in found if _rentable(one)}
    return [shapes[name] for name in sorted(shapes)]


def _stock(
    place: Place, domain: str, shapes: Sequence[Shape], requirements: Requirements
) -> Mapping[str, str]:
    """What the capacity report says; nothing where the account may not ask for one."""
    asked = []
    for shape in shapes:
        chosen = size(shape, requirements)
        if shape.series is None or chosen is None:
            continue
        config = (
            models.CapacityReportInstanceShapeConfig(
                ocpus=float(chosen.ocpus), memory_in_gbs=float(chosen.memory_gb)
            )
            if shape.flexible
            else None
        )
        asked.append(
            models.CreateCapacityReportShapeAvailabilityDetails(
                instance_shape=shape.name, instance_shape_config=config
            )
        )
    if not asked:
        return {}
    details = models.CreateComputeCapacityReportDetails(
        compartment_id=place.compartment, availability_domain=domain, shape_availabilities=asked
    )
    try:
        report = place.clients.again(
            f"capacity in {domain}",
            partial(place.clients.compute.create_compute_capacity_report, details),
        ).data
    except ProviderError:
        return {}  # availability is then unknown, and the prices still stand
    return {
        one.instance_shape: one.availability_status for one in report.shape_availabilities or ()
    }


def _rentable(shape: Any) -> bool:
    # The shapes that are always free are a trial's, two in a tenancy, and have no price.
    return str(shape.shape).startswith("VM.") and shape.billing_type != "ALWAYS_FREE"


def _shape(shape: Any) -> Shape:
    ocpus, memory = shape.ocpu_options, shape.memory_options
    fixed = Decimal(str(shape.memory_in_gbs or 0))
    low, high = (Decimal(figure) for figure in GB_PER_OCPU)
    if not shape.is_flexible or ocpus is None or memory is None:
        count = int(shape.ocpus or 0)
        per = fixed / count if count else Decimal(0)
        return Shape(
            name=shape.shape,
            ocpus=(count, count),
            memory_gb=(fixed, fixed),
            gb_per_ocpu=(per, per),
            cpu="burstable" if shape.is_subcore else "dedicated",
        )
    return Shape(
        name=shape.shape,
        ocpus=(max(int(ocpus.min or 1), 1), int(ocpus.max or 1)),
        memory_gb=(
            Decimal(str(memory.min_in_g_bs or 1)),
            Decimal(str(memory.max_in_g_bs or fixed)),
        ),
        gb_per_ocpu=(
            Decimal(str(memory.min_per_ocpu_in_gbs or low)),
            Decimal(str(memory.max_per_ocpu_in_gbs or high)),
        ),
    )
