"""Compute the cost of an offer for a duration, line by line. Pure, exact, net of VAT."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from materia._dataclass import dataclass
from materia.compute import Billing, Money, Offer
from materia.text import duration_text

from materia_runner.pricing.currency import Rate

HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
NOTHING = timedelta(0)
# Without a start there are no calendar months to cap; prices by the month mean 730 hours.
MONTH = timedelta(hours=730)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a bill.

    Attributes:
        name: The item that is charged.
        quantity: Quantity in *unit*.
        unit: `h`, `GiB` or `each`.
        price: Price of one unit.
        amount: Quantity times price, unless *rule* names a cap or minimum that replaces it.
        rule: The billing rule behind the quantity, as text.
        source: Source of the price.
        as_of: When the price was read, in UTC.
        read_on: The same day, when a person read it and no request; otherwise None.
        rule_source: Source of the rule; may be empty.
        rule_read_on: When the rule was read there, or None.
    """

    name: str
    quantity: Decimal
    unit: str
    price: Money
    amount: Money
    rule: str
    source: str
    as_of: datetime
    rule_source: str = ""
    rule_read_on: date | None = None
    read_on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The cost of one use of an offer.

    Attributes:
        offer: The offer.
        duration: From the request to create the instance until it is gone.
        start: When it is created, in UTC, or None when that is not known.
        egress_gib: Traffic that leaves the provider, in GiB.
        lines: Lines of the bill; their amounts sum to *cost*.
        cost: Cost in the offer's own currency.
        shown: Cost in the currency of the comparison.
        rates: Exchange rates between the two; none when they are the same.
    """

    offer: Offer
    duration: timedelta
    start: datetime | None
    egress_gib: Decimal
    lines: tuple[Line, ...]
    cost: Money
    shown: Money
    rates: tuple[Rate, ...] = ()


def cost(
    offer: Offer,
    duration: timedelta,
    start: datetime | None = None,
    egress_gib: Decimal = Decimal(0),
    *,
    boot: timedelta = NOTHING,
) -> Quote:
    """Cost of an instance of *offer* that exists for *duration*.

    Args:
        offer: The offer.
        duration: From the request to create the instance until it is gone.
        start: When it is created, with a time zone. Without it, clock hours are not counted: their
            expected number over all starts is used.
        egress_gib: Traffic that leaves the provider.
        boot: How much of *duration* passes before the instance is active; matters only where the
            meter starts then. Zero, the default, never costs too little.

    Raises:
        ValueError: a negative duration, a start without a time zone, or traffic above the
            allowance of an offer that has no price for it.
    """
    if duration < NOTHING or boot < NOTHING or egress_gib < 0:
        raise ValueError("duration, boot and egress_gib must not be negative")
    if start is not None:
        if start.tzinfo is None:
            raise ValueError("start must have a time zone")
        start = start.astimezone(UTC)
    lines = [*_instance_lines(offer, duration, start, boot)]
    lines += _extra_lines(offer, duration, start, boot)
    lines += egress_lines(offer, egress_gib)
    total = Money(sum((line.amount.amount for line in lines), Decimal(0)), offer.hourly.currency)
    return Quote(
        offer=offer,
        duration=duration,
        start=start,
        egress_gib=egress_gib,
        lines=tuple(lines),
        cost=total,
        shown=total,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Metered:
    """Billed time: its start (None when not known), and its length."""

    begin: datetime | None
    length: timedelta


def _meter(
    billing: Billing, duration: timedelta, start: datetime | None, boot: timedelta
) -> _Metered:
    if billing.meter_from == "active":
        begin = start + min(boot, duration) if start is not None else None
        used = max(duration - boot, NOTHING)
    else:
        begin, used = start, duration
    step = billing.increment
    if billing.alignment == "clock":
        if begin is None:
            # Over all starts, time d touches d/step + 1 units of the clock.
            length = used + step if used else NOTHING
        else:
            midnight = begin.replace(hour=0, minute=0, second=0, microsecond=0)
            ahead = (begin - midnight) % step
            begin -= ahead
            length = _round_up(used + ahead, step) if used else NOTHING
    else:
        length = _round_up(used, step)
    return _Metered(begin=begin, length=max(length, billing.minimum))


def _round_up(length: timedelta, step: timedelta) -> timedelta:
    return -(-length // step) * step


def _hours(length: timedelta) -> Decimal:
    return Decimal(length // MICROSECOND) / Decimal(HOUR // MICROSECOND)


def _price(hourly: Money, length: timedelta) -> Money:
    # Multiply first, then divide: a third of an hour has no exact decimal.
    amount = hourly.amount * (length // MICROSECOND) / Decimal(HOUR // MICROSECOND)
    return Money(amount, hourly.currency)


def _instance_lines(
    offer: Offer, duration: timedelta, start: datetime | None, boot: timedelta
) -> Iterator[Line]:
    billing = offer.billing
    metered = _meter(billing, duration, start, boot)
    place = offer.zone or offer.region
    parts = _parts(offer.hourly, metered, offer.monthly_cap)
    for part in _at_least(parts, offer.minimum):
        yield Line(
            name=f"{offer.instance_type} in {place}{part.month}",
            quantity=_hours(part.length),
            unit="h",
            price=offer.hourly,
            amount=part.amount,
            rule=describe(billing, estimated=metered.begin is None) + part.rule,
            source=offer.price_source,
            as_of=offer.price_as_of,
            rule_source=billing.source,
            rule_read_on=billing.read_on,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Part of the billed time on one line: all of it, or with a monthly cap one month."""

    length: timedelta
    amount: Money
    month: str = ""
    rule: str = ""


def _parts(hourly: Money, metered: _Metered, cap: Money | None) -> list[_Part]:
    if cap is None:
        return [_Part(length=metered.length, amount=_price(hourly, metered.length))]
    months = list(_months(metered))
    parts = []
    for month, length in months:
        amount = _price(hourly, length)
        capped = amount.amount > cap.amount
        word = "capped at" if capped else "at most"
        parts.append(
            _Part(
                length=length,
                amount=cap if capped else amount,
                month=f", {month}" if len(months) > 1 else "",
                rule=f"; {word} {cap.amount:f} {cap.currency} a month",
            )
        )
    return parts


def _at_least(parts: list[_Part], minimum: Money | None) -> list[_Part]:
    """The parts, or one part raised to *minimum* when their sum is less."""
    if minimum is None:
        return parts
    below = sum(part.amount.amount for part in parts) < minimum.amount
    rule = f"; {'raised to' if below else 'at least'} {minimum.amount:f} {minimum.currency}"
    if below:
        length = sum((part.length for part in parts), NOTHING)
        return [_Part(length=length, amount=minimum, rule=rule)]
    return [replace(part, rule=part.rule + rule) for part in parts]


def _months(metered: _Metered) -> Iterator[tuple[str, timedelta]]:
    """The billed time by calendar month (UTC), as providers apply monthly caps."""
    left = metered.length
    begin = metered.begin
    number = 1
    while True:
        if begin is None:
            name, room = f"month {number}", MONTH
        else:
            after = (begin.replace(day=1) + timedelta(days=32)).replace(
                day=1, hour=0, minute=0, second=0, microsecond=0
            )
            name, room = f"{begin:%Y-%m}", after - begin
            begin = after
        yield name, min(left, room)
        left -= room
        number += 1
        if left <= NOTHING:
            return


def _extra_lines(
    offer: Offer, duration: timedelta, start: datetime | None, boot: timedelta
) -> Iterator[Line]:
    for extra in offer.extras:
        billing = extra.billing or offer.billing
        metered = _meter(billing, duration, start, boot)
        parts = _parts(extra.hourly, metered, extra.monthly_cap)
        for part in _at_least(parts, extra.minimum):
            yield Line(
                name=f"{extra.name}{part.month}",
                quantity=_hours(part.length),
                unit="h",
                price=extra.hourly,
                amount=part.amount,
                rule=describe(billing, estimated=metered.begin is None) + part.rule,
                source=extra.source,
                as_of=_moment(extra.read_on) or extra.as_of or offer.price_as_of,
                rule_source=billing.source,
                rule_read_on=billing.read_on,
                read_on=extra.read_on,
            )


def egress_lines(offer: Offer, egress_gib: Decimal) -> list[Line]:
    """Cost of traffic out of an instance of *offer*; no line without traffic.

    Raises:
        ValueError: traffic exceeds the allowance, and the offer has no price for it.
    """
    included = offer.egress_included_gib
    above = Decimal(0) if included is None else max(egress_gib - included, Decimal(0))
    if above and offer.egress_per_gib is None:
        raise ValueError(f"{egress_gib} GiB of traffic out: no price known above {included} GiB")
    if not egress_gib:
        return []
    price = offer.egress_per_gib or Money(Decimal(0), offer.hourly.currency)
    allowance = "all of it" if included is None else f"{included} GiB a month"
    line = Line(
        name="traffic out",
        quantity=above,
        unit="GiB",
        price=price,
        amount=Money(price.amount * above, price.currency),
        rule=f"{egress_gib} GiB, of which {allowance} costs nothing",
        source=offer.egress_source or offer.price_source,
        as_of=_moment(offer.egress_read_on) or offer.price_as_of,
        read_on=offer.egress_read_on,
    )
    return [line]


def _moment(day: date | None) -> datetime | None:
    return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)


@lru_cache(maxsize=64)  # thousands of offers share a few rules
def describe(billing: Billing, *, estimated: bool = False) -> str:
    """A billing rule in words, for example `started hours from create, at least 1 h`.

    With *estimated*, it adds that the number of clock hours is an expected value.
    """
    unit = _unit(billing.increment)
    if billing.alignment == "clock":
        text = f"clock {unit} touched from {billing.meter_from}"
        text += " (the number expected over all starts)" if estimated else ""
    else:
        text = f"started {unit} from {billing.meter_from}"
    if billing.minimum:
        text += f", at least {duration_text(billing.minimum)}"
    return text


def _unit(length: timedelta) -> str:
    whole = {HOUR: "hours", timedelta(minutes=1): "minutes", timedelta(seconds=1): "seconds"}
    return whole.get(length, f"units of {duration_text(length)}")
