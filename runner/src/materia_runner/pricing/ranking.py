"""Rank offers: which ones fit, and the order to try them. Pure and deterministic."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from typing import TypeVar

from materia._dataclass import dataclass
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
        reason: The reason as text, for example `4 GiB of memory, 8 needed`.
    """

    offer: Offer
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The offers for one use, in the order to try them.

    Attributes:
        quotes: Quotes, best first, all in one currency.
        passed_over: The other offers, sorted by provider and name.
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
    """Sort *offers* by the full cost of this use.

    Equal costs are sorted by availability, then dedicated before shared processors, then name.

    Args:
        offers: Offers from any number of providers, in any order.
        requirements: The requirements, and the expected duration.
        start: Time when the instance would be created, in UTC.
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
    """Sort key of quotes in one currency: cost, availability, processor, name."""
    offer = quote.offer
    return (
        quote.shown.amount,
        AVAILABILITY.index(offer.availability),
        CPU.index(offer.cpu),
        *_name(offer),
    )


def passed_over_order(passed: PassedOver) -> tuple[object, ...]:
    """Sort key of offers that were passed over: provider, place and name."""
    return (*_name(passed.offer), passed.reason)


def in_order(values: Iterable[T], key: Callable[[T], tuple[object, ...]]) -> tuple[T, ...]:
    """Sort by *key*, and values with the same key by their repr: a total order."""
    ordered: list[T] = []
    for _, group in groupby(sorted(values, key=key), key=key):
        same = list(group)
        ordered += sorted(same, key=repr) if len(same) > 1 else same  # repr is slow
    return tuple(ordered)
