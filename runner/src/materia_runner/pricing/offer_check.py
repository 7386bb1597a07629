"""Validate offers: refuse an implausible price, size or currency before it wins a comparison.

Every offer of every plugin, bundled or third-party, is checked here. The bounds are wide enough for
every currency and machine on sale: on 2026-11-23 the cheapest machine of the four providers cost
EUR 0.0006 an hour, the most expensive less than EUR 100.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import get_args

from materia.compute import Architecture, Availability, Billing, Cpu, Extra, Money, Offer
from materia_providers.list_entries import (
    ODD,
    Entries,
    LeftOut,
    amount,
    left_out_of,
    reason_of,
    whole,
    word,
)

# Least price of a vCPU for an hour, in any currency.
LEAST_OF_A_VCPU = Decimal("0.0001")
# Highest price of a machine for an hour, even in a currency worth a ten-thousandth of a euro.
MOST_OF_AN_HOUR = Decimal(1_000_000)
# A monthly cap below the price of so many hours is a misread number: the lowest seen is 620 hours.
LEAST_CAP_HOURS = 100
MOST_VCPUS = 10_000
MOST_GIB = 1_000_000
CURRENCY = re.compile(r"[A-Z]{3}")


def checked(offers: Iterable[object], *, provider: str, rents: bool = True) -> Entries[Offer]:
    """The plausible *offers*; the others are left out, each with a line.

    Args:
        offers: Offers that a plugin returned.
        provider: Name of the provider.
        rents: Whether it rents machines; a machine that already exists costs nothing.
    """
    left = LeftOut(provider)
    sound = []
    for offer in offers:
        reason = flaw(offer, rents=rents)
        if reason is None and isinstance(offer, Offer):
            sound.append(offer)
        else:
            left.add(_name(offer), reason or "it is not an offer")
    return Entries(sound, (*left_out_of(offers), *left.lines()))


def flaw(offer: object, *, rents: bool = True) -> str | None:
    """Why *offer* is implausible, or None when it is plausible."""
    if not isinstance(offer, Offer):
        return f"it is {type(offer).__name__}, not an offer"
    try:
        _size(offer)
        _prices(offer, rents=rents)
        _rules(offer.billing)
        for extra in offer.extras:
            _extra(extra, offer.hourly.currency)
    except ODD as error:
        return reason_of(error)
    return None


def _name(offer: object) -> str:
    names = [getattr(offer, name, "") for name in ("instance_type", "zone", "region")]
    kind, zone, region = (name if isinstance(name, str) else repr(name) for name in names)
    return f"{kind or 'an offer'} in {zone or region or 'no place'}"


def _size(offer: Offer) -> None:
    word(offer.instance_type, "type")
    word(offer.region, "region")
    if offer.zone != "":
        word(offer.zone, "zone")
    whole(offer.vcpus, "number of vCPUs", most=MOST_VCPUS)
    memory = amount(offer.memory_gib, "memory", most=Decimal(MOST_GIB))
    if not memory or not isinstance(offer.memory_gib, Decimal):
        raise ValueError(f"its memory is {offer.memory_gib!r}, not a decimal above 0")
    whole(offer.disk_gib, "disk", most=MOST_GIB)
    for value, known, what in (
        (offer.architecture, Architecture, "architecture"),
        (offer.cpu, Cpu, "processor"),
        (offer.availability, Availability, "availability"),
    ):
        if value not in get_args(known):
            raise ValueError(f"its {what} is {value!r}")
    # A datetime is also a date, and cannot be compared with one.
    if isinstance(offer.retires_on, datetime) or not isinstance(offer.retires_on, date | None):
        raise TypeError("retires_on")
    _moment(offer.price_as_of)


def _prices(offer: Offer, *, rents: bool) -> None:
    hourly = offer.hourly
    least = LEAST_OF_A_VCPU * offer.vcpus if rents else Decimal(0)
    price = _money(hourly, "price of an hour", hourly.currency, least=least)
    if offer.minimum is not None:
        _money(offer.minimum, "least charge", hourly.currency)
    if offer.monthly_cap is not None:
        least = price * LEAST_CAP_HOURS
        _money(offer.monthly_cap, "most of a month", hourly.currency, least=least)
    if offer.egress_included_gib is not None:
        amount(offer.egress_included_gib, "free traffic", most=Decimal("1e12"))
        if not isinstance(offer.egress_included_gib, Decimal):
            raise TypeError("egress_included_gib")
    if offer.egress_per_gib is not None:
        _money(offer.egress_per_gib, "price of traffic", hourly.currency)


def _extra(extra: Extra, currency: str) -> None:
    name = word(extra.name, "name of something beside it")
    price = _money(extra.hourly, f"price of {name}", currency)
    if extra.minimum is not None:
        _money(extra.minimum, f"least for {name}", currency)
    if extra.monthly_cap is not None:
        least = price * LEAST_CAP_HOURS
        _money(extra.monthly_cap, f"most of a month for {name}", currency, least=least)
    if extra.billing is not None:
        _rules(extra.billing)
    if extra.as_of is not None:
        _moment(extra.as_of)


def _rules(billing: Billing) -> None:
    if billing.increment <= timedelta(0) or billing.minimum < timedelta(0):
        raise ValueError("its billing rounds to nothing")
    if billing.alignment not in {"start", "clock"} or billing.meter_from not in {
        "create",
        "active",
    }:
        raise ValueError("its billing has an unknown rule")


def _money(money: Money, what: str, currency: str, *, least: Decimal = Decimal(0)) -> Decimal:
    code: object = money.currency
    if not isinstance(money.amount, Decimal):
        raise ValueError(f"its {what} is {money.amount!r}, not a decimal")  # noqa: TRY004 -- an odd entry, not a fault of this program
    # Without rounding: a multiple of a price may have more digits than the price.
    exact = amount(money.amount, what, most=MOST_OF_AN_HOUR * 1000)
    if exact < least or (what == "price of an hour" and exact > MOST_OF_AN_HOUR):
        raise ValueError(f"its {what} is {exact:f} {money.currency}, which is out of range")
    if not isinstance(code, str) or not CURRENCY.fullmatch(code):
        raise ValueError(f"its currency is {code!r}")
    if money.currency != currency:
        raise ValueError(f"its {what} is in {money.currency}, its other prices in {currency}")
    return exact


def _moment(moment: object) -> None:
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise ValueError("the time of its price has no time zone")
