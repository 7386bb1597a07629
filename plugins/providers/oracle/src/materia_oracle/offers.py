"""Fetch Oracle's offers: prices, and the shapes and stock of every availability domain at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from typing import Any

from materia.compute import Offer, Requirements
from materia.errors import NoOfferError, ProviderError
from materia.kit.once import Once, unkept
from materia_providers.list_entries import Entries, LeftOut, amount, word
from oci.core import models  # type: ignore[import-untyped]

from materia_oracle.catalog.price_list import fetch
from materia_oracle.catalog.shapes import GB_PER_OCPU, PROVIDER, Shape, offers, size
from materia_oracle.client import Place


def offers_of(
    place: Place,
    requirements: Requirements,
    price_list_url: str = "",
    once: Once | None = None,
) -> Sequence[Offer]:
    """The offers of all availability domains.

    Raises:
        NoOfferError: the region is not one of those required, or has no shape with a price.
        ProviderError: shapes or prices cannot be read.
    """
    once, left = once or unkept(), LeftOut(PROVIDER)
    wanted = {region.casefold() for region in requirements.regions}
    domains = [
        domain
        for domain in once.ask("domains", partial(domains_of, place, left))
        if not wanted or wanted & {place.region.casefold(), domain.casefold()}
    ]
    if not domains:
        raise NoOfferError(
            f"oracle: materia uses only the region in OCI_CLI_REGION, not "
            f"{', '.join(requirements.regions)}"
        )
    currency = requirements.currency
    prices = once.ask(("prices", currency), partial(fetch, price_list_url, currency))

    def ask(domain: str) -> list[Offer]:
        found: list[Offer] = []
        with left.place(domain):
            shapes, odd = once.ask(("shapes", domain), partial(_shapes, place, domain))
            left.join(odd)
            stock = _stock(place, domain, shapes, requirements)
            found += offers(
                shapes,
                prices,
                requirements,
                region=place.region,
                zone=domain,
                stock=stock,
                left=left,
            )
        return found

    with ThreadPoolExecutor(max_workers=len(domains)) as pool:
        found = [offer for answer in pool.map(ask, domains) for offer in answer]
    if not found and left.errors:
        raise left.errors[0]
    lines = (*prices.left_out, *left.lines())
    if not found:
        head = f"oracle: the price list has no price for any shape in {place.region}"
        raise NoOfferError("; ".join([head, *lines]))
    return Entries(found, lines)


def domains_of(place: Place, left: LeftOut | None = None) -> list[str]:
    """The availability domains of the region, by name; *left* records one without a name.

    Raises:
        ProviderError: the region lists none.
    """
    left = LeftOut(PROVIDER) if left is None else left
    listing = place.clients.identity.list_availability_domains
    found = []
    for one in place.clients.every(
        "list availability domains", partial(listing, place.compartment), left
    ):
        with left.entry("an availability domain"):
            found.append(word(one.name, "name"))
    if not found:
        raise ProviderError(
            "; ".join([f"oracle: {place.region} lists no availability domain", *left.lines()])
        )
    return sorted(found)


def _shapes(place: Place, domain: str) -> tuple[list[Shape], LeftOut]:
    left = LeftOut(PROVIDER)
    found = place.clients.every(
        f"list shapes in {domain}",
        place.clients.compute.list_shapes,
        left,
        compartment_id=place.compartment,
        availability_domain=domain,
    )
    shapes = {}
    for one in found:
        with left.entry(f"{one.shape} in {domain}"):
            if _rentable(one):  # Oracle lists a shape once for each image that it can boot
                shapes[one.shape] = _shape(one)
    return [shapes[name] for name in sorted(shapes)], left


def _stock(
    place: Place, domain: str, shapes: Sequence[Shape], requirements: Requirements
) -> Mapping[str, str]:
    """Availability from the capacity report; nothing where the account may not request one."""
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
            f"read the capacity in {domain}",
            partial(place.clients.compute.create_compute_capacity_report, details),
        ).data
    except ProviderError:
        return {}  # availability is then unknown; the prices remain valid
    said = getattr(report, "shape_availabilities", None) or ()
    stock = [(getattr(one, "instance_shape", ""), one) for one in said]  # may be any JSON
    return {str(name): str(getattr(one, "availability_status", "")) for name, one in stock}


def _rentable(shape: Any) -> bool:
    # The always-free shapes belong to a trial, two per tenancy, and have no price.
    return str(shape.shape).startswith("VM.") and shape.billing_type != "ALWAYS_FREE"


def _shape(shape: Any) -> Shape:
    """The SDK's shape as a `Shape`.

    Raises:
        ValueError: one of its sizes is missing or impossible.
    """
    ocpus, memory = shape.ocpu_options, shape.memory_options
    low, high = (Decimal(figure) for figure in GB_PER_OCPU)
    if not shape.is_flexible or ocpus is None or memory is None:
        fixed = amount(shape.memory_in_gbs, "memory", least=Decimal(1))
        count = int(amount(shape.ocpus, "number of OCPUs", least=Decimal(1)))
        per = fixed / count
        return Shape(
            name=shape.shape,
            ocpus=(count, count),
            memory_gb=(fixed, fixed),
            gb_per_ocpu=(per, per),
            cpu="burstable" if shape.is_subcore else "dedicated",
        )
    most = amount(ocpus.max, "most OCPUs", least=Decimal(1))
    fewest = amount(ocpus.min or 1, "fewest OCPUs", most=most)
    largest = amount(memory.max_in_g_bs, "largest memory", least=Decimal(1))
    return Shape(
        name=shape.shape,
        ocpus=(max(int(fewest), 1), int(most)),
        memory_gb=(amount(memory.min_in_g_bs or 1, "smallest memory", most=largest), largest),
        gb_per_ocpu=(
            amount(memory.min_per_ocpu_in_gbs or low, "least memory of an OCPU"),
            amount(memory.max_per_ocpu_in_gbs or high, "most memory of an OCPU"),
        ),
    )
