"""Money in one currency and in another: only with a dated rate of the user's, and marked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from materia.compute import Money
from materia.errors import ConfigError

DEFAULT = "EUR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What one unit of a currency is worth in the currency of `[currency]` in materia.toml.

    Attributes:
        currency: ISO 4217 code.
        worth: In units of the configured currency, more than 0.
        on: The day the rate held.
        source: Who published it; may be empty.
    """

    currency: str
    worth: Decimal
    on: date
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """The currency costs are shown in, and the rates that lead there.

    Attributes:
        shown: ISO 4217 code of the currency to show and to rank in.
        configured: ISO 4217 code of the currency the rates are stated in.
        rates: One for each other currency, each code once.
    """

    shown: str = DEFAULT
    configured: str = DEFAULT
    rates: tuple[Rate, ...] = ()

    def convert(self, money: Money) -> tuple[Money, tuple[Rate, ...]]:
        """*money* in the shown currency, and the rates that were used: none when it is already.

        Raises:
            ConfigError: a rate is missing; the message is what to write in materia.toml.
        """
        if money.currency == self.shown:
            return money, ()
        amount = money.amount
        used = []
        if money.currency != self.configured:
            rate = self._rate(money.currency, money.currency)
            amount *= rate.worth
            used.append(rate)
        if self.shown != self.configured:
            rate = self._rate(self.shown, money.currency)
            amount /= rate.worth
            used.append(rate)
        return Money(amount, self.shown), tuple(used)

    def _rate(self, currency: str, asked: str) -> Rate:
        for rate in self.rates:
            if rate.currency == currency:
                return rate
        raise ConfigError(
            f"prices in {asked} cannot be compared in {self.shown}: materia.toml has no rate; "
            f'add [currency.rates.{currency}] with worth = "..." (what 1 {currency} is worth in '
            f"{self.configured}) and date = YYYY-MM-DD"
        )
