"""Which offers can do it, and in which order they are tried: pure, and the same for any input."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import TypeVar

from materia.compute import Offer, Requirements
from materia.errors import ConfigError
from materia.kit.fit import misfit

from materia_runner.pricing.cost import Quote, cost
from materia_runner.pricing.currency import Exchange

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
