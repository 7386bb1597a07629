"""Currency conversion, only with dated exchange rates from the user's materia.toml."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from materia._dataclass import dataclass
from materia.compute import Money
from materia.errors import ConfigError

DEFAULT = "EUR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Exchange rate: the worth of one unit of a currency in the currency of `[currency]`.

    Attributes:
        currency: ISO 4217 code.
        worth: Units of the configured currency, more than 0.
        on: Date of the rate.
        source: Publisher of the rate; may be empty.
    """

    currency: str
    worth: Decimal
    on: date
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """The currency that costs are shown in, and the exchange rates.

    Attributes:
        shown: ISO 4217 code of the currency to show and to rank in.
        configured: ISO 4217 code of the currency of the rates.
        rates: One rate for each other currency.
    """

    shown: str = DEFAULT
    configured: str = DEFAULT
    rates: tuple[Rate, ...] = ()

    def convert(self, money: Money) -> tuple[Money, tuple[Rate, ...]]:
        """Convert *money* to the shown currency; returns it with the rates that were used.

        Raises:
            ConfigError: a rate is missing; the message says what to write in materia.toml.
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
