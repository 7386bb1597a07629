"""Which offers can do it, and in which order they are tried: pure, and the same for any input."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import groupby
from typing import TypeVar

from materia.cost import Quote, cost
from materia.currency import Exchange
from materia.errors import ConfigError
from materia.machines import Offer, Requirements

# A provider's "8 GB" may be 8 GiB or 8·10⁹ bytes, which is 7.45 GiB; 7 GB is neither.
TOLERANCE = Decimal("0.93")
AVAILABILITY = ("available", "scarce", "unknown")
T = TypeVar("T")
CPU = ("dedicated", "unknown", "shared", "burstable")


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """An offer that was not ranked.

    Attributes:
        offer: The offer.
        reason: Why, for people, for example `4 GiB of memory, 8 needed`.
    """

    offer: Offer
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The offers for one use, in the order to try them.

    Attributes:
        quotes: Best first, all in one currency.
        passed_over: The other offers, in the order of their providers and names.
    """

    quotes: tuple[Quote, ...]
    passed_over: tuple[PassedOver, ...]


def rank(
    offers: Iterable[Offer],
    requirements: Requirements,
    *,
    start: datetime,
    exchange: Exchange | None = None,
) -> Ranking:
    """Order *offers* by what this use of them costs, all in.

    Equal costs are ordered by availability, then dedicated before shared processors, then name.

    Args:
        offers: From any number of providers, in any order.
        requirements: What is needed, and for how long.
        start: When the instance would be created, in UTC.
        exchange: The currency to compare in, and the rates; by default that of *requirements*, and
            no rates.
    """
    exchange = exchange or Exchange(shown=requirements.currency, configured=requirements.currency)
    quotes = []
    passed_over = []
    for offer in offers:
        reason = misfit(offer, requirements, start.astimezone(UTC).date())
        if reason is None:
            try:
                quote = cost(offer, requirements.expected, start, requirements.egress_gib)
                shown, rates = exchange.convert(quote.cost)
            except (ConfigError, ValueError) as error:
                reason = str(error)
            else:
                quotes.append(replace(quote, shown=shown, rates=rates))
        if reason is not None:
            passed_over.append(PassedOver(offer=offer, reason=reason))
    return Ranking(
        quotes=in_order(quotes, quote_order),
        passed_over=in_order(passed_over, passed_over_order),
    )


def misfit(offer: Offer, requirements: Requirements, today: date) -> str | None:  # noqa: PLR0911 -- one return for each reason
    """Why *offer* cannot be rented for this on that day, or None when it can."""
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


def _name(offer: Offer) -> tuple[str, ...]:
    return (offer.provider, offer.region, offer.zone, offer.instance_type)


def quote_order(quote: Quote) -> tuple[object, ...]:
    """What quotes of one currency are ordered by: cost first, then how surely it can be had."""
    offer = quote.offer
    return (
        quote.shown.amount,
        AVAILABILITY.index(offer.availability),
        CPU.index(offer.cpu),
        *_name(offer),
    )


def passed_over_order(passed: PassedOver) -> tuple[object, ...]:
    """What offers that were passed over are ordered by: provider, place and name."""
    return (*_name(passed.offer), passed.reason)


def in_order(values: Iterable[T], key: Callable[[T], tuple[object, ...]]) -> tuple[T, ...]:
    """Sorted by *key*, and values that share it by their whole text: a total order."""
    ordered: list[T] = []
    for _, group in groupby(sorted(values, key=key), key=key):
        same = list(group)
        ordered += sorted(same, key=repr) if len(same) > 1 else same  # the text takes its time
    return tuple(ordered)
