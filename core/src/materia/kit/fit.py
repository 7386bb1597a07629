"""Filter offers by requirements: processor, memory, disk, region and availability."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from materia.compute import Offer, Requirements

# A provider's "8 GB" may be 8 GiB or 8·10⁹ bytes, which is 7.45 GiB; 7 GB is neither.
TOLERANCE = Decimal("0.93")


def misfit(offer: Offer, requirements: Requirements, today: date) -> str | None:  # noqa: PLR0911 -- one return for each reason
    """Why *offer* does not meet *requirements* on the day *today*, or None when it does."""
    if offer.architecture not in requirements.architectures:
        return f"{offer.architecture}, {' or '.join(requirements.architectures)} needed"
    if offer.vcpus < requirements.vcpus:
        return f"{offer.vcpus} vCPU, {requirements.vcpus} needed"
    if offer.memory_gib < requirements.memory_gib * TOLERANCE:
        return f"{offer.memory_gib:f} GiB of memory, {requirements.memory_gib:f} needed"
    if offer.disk_gib < requirements.disk_gib * TOLERANCE:
        return f"{offer.disk_gib} GiB of disk, {requirements.disk_gib} needed"
    if requirements.dedicated and offer.cpu != "dedicated":
        return f"the processor is {offer.cpu}, dedicated needed"
    if requirements.regions and not _is_in(offer, requirements.regions):
        return f"in {offer.zone or offer.region}, {' or '.join(requirements.regions)} wanted"
    if offer.retires_on is not None and offer.retires_on < today:
        return f"no longer sold since {offer.retires_on}"
    if offer.availability == "unavailable":
        return "sold out"
    if offer.availability == "no_quota":
        return "the account's quota does not allow it"
    return None


def _is_in(offer: Offer, regions: tuple[str, ...]) -> bool:
    places = {offer.region.casefold(), offer.zone.casefold()}
    return any(region.casefold() in places for region in regions)
