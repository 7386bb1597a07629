"""Format money, prices, quantities and times: the only place that rounds amounts.

Amounts are exact decimals everywhere else; `--json` has them unrounded.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from materia.compute import Money
from materia.text import duration_text

CENT_HUNDREDTH = Decimal("0.0001")
UNIT_PRICE = Decimal("1e-8")  # the most precise price list of a provider has seven digits
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def money_text(money: Money) -> str:
    """An amount to a hundredth of a cent, half up, for example `0.0093 EUR`."""
    return f"{money.amount.quantize(CENT_HUNDREDTH, ROUND_HALF_UP):f} {money.currency}"


def unit_price_text(price: Money) -> str:
    """A unit price to eight digits, half up, without trailing zeros and without the currency."""
    return _short(price.amount, UNIT_PRICE)


def quantity_text(quantity: Decimal) -> str:
    """A number of units to four digits, half up, without trailing zeros."""
    return _short(quantity, CENT_HUNDREDTH)


def size_text(number: Decimal) -> str:
    """A size, such as GiB, to two digits, half up, without trailing zeros."""
    return _short(number, Decimal("0.01"))


def moment_text(moment: datetime) -> str:
    """A time in UTC to the minute, without a zone: `2026-11-24 12:05`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def elapsed_text(seconds: float, *, to: timedelta = SECOND) -> str:
    """A duration in whole seconds: `14 min 7 s`."""
    return duration_text(timedelta(seconds=seconds) // to * to)


def age_text(age: timedelta) -> str:
    """An age in whole minutes: `2 d 3 h`, `14 min`, `less than 1 min`."""
    minutes = max(age, timedelta(0)) // MINUTE
    days, minutes = divmod(minutes, 24 * 60)
    if days:
        return f"{days} d {minutes // 60} h"
    return duration_text(minutes * MINUTE) if minutes else "less than 1 min"


def _short(number: Decimal, to: Decimal) -> str:
    text = f"{number.quantize(to, ROUND_HALF_UP):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
