"""Cost curves: cost of each provider's cheapest offer against duration. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import groupby

from materia.compute import Offer

from materia_runner.pricing.cost import Quote, cost
from materia_runner.pricing.currency import Exchange

SAMPLES = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Cost of a provider's cheapest offer, by duration.

    Attributes:
        provider: Name of the provider.
        durations: Ascending durations, the same for all curves of a comparison.
        costs: Cost for each duration, in the currency of the comparison.
    """

    provider: str
    durations: tuple[timedelta, ...]
    costs: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """A range of durations over which one provider is the cheapest.

    Attributes:
        provider: Name of the provider.
        first: The shortest sampled duration of the range.
        last: The longest sampled duration of the range.
    """

    provider: str
    first: timedelta
    last: timedelta


def sample_durations(until: timedelta) -> tuple[timedelta, ...]:
    """Evenly spaced durations up to *until*, in whole minutes where possible."""
    step = max(until / SAMPLES, timedelta(seconds=1))
    if step > timedelta(seconds=30):
        step = max(round(step / timedelta(minutes=1)), 1) * timedelta(minutes=1)
    return tuple(step * number for number in range(1, until // step + 1))


def cost_curves(
    quotes: Iterable[Quote], durations: Sequence[timedelta], exchange: Exchange
) -> tuple[Curve, ...]:
    """A curve for each provider of the *quotes*, with their start and traffic; sorted by name."""
    curves = []
    ordered = sorted(quotes, key=lambda quote: quote.offer.provider)
    for provider, group in groupby(ordered, key=lambda quote: quote.offer.provider):
        different = {_priced(quote.offer): quote for quote in group}
        costs = []
        for duration in durations:
            found = [_cost(quote, duration, exchange) for quote in different.values()]
            costs.append(min(found))
        curves.append(Curve(provider=provider, durations=tuple(durations), costs=tuple(costs)))
    return tuple(curves)


def leads(curves: Sequence[Curve]) -> tuple[Lead, ...]:
    """The cheapest provider for each range of durations; the first name of equals."""
    if not curves:
        return ()
    best = []
    for number, duration in enumerate(curves[0].durations):
        leader = min(curves, key=lambda curve: (curve.costs[number], curve.provider))
        best.append((leader.provider, duration))
    stretches = []
    for provider, group in groupby(best, key=lambda pair: pair[0]):
        lengths = [duration for _, duration in group]
        stretches.append(Lead(provider=provider, first=lengths[0], last=lengths[-1]))
    return tuple(stretches)


def _priced(offer: Offer) -> tuple[object, ...]:
    """The parts of an offer that set its cost: a type in ten regions is computed once."""
    return (
        offer.hourly,
        offer.billing,
        offer.minimum,
        offer.monthly_cap,
        offer.extras,
        offer.egress_included_gib,
        offer.egress_per_gib,
    )


def _cost(quote: Quote, duration: timedelta, exchange: Exchange) -> Decimal:
    found = cost(quote.offer, duration, quote.start, quote.egress_gib)
    return exchange.convert(found.cost)[0].amount
