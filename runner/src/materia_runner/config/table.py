"""Validate one table of materia.toml: typed values, and error messages for invalid ones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from materia.errors import ConfigError, PluginError
from materia.hookspecs import Setting
from materia.plugins import Kind, Registry
from materia.text import suggestion


def is_currency(code: str) -> bool:
    """Whether *code* has the form of an ISO 4217 code: three capital letters."""
    return len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()


def _shown(value: object) -> str:
    """A value in TOML notation, for error messages."""
    match value:
        case bool():
            return str(value).lower()
        case date():
            return f"the date {value}"
        case dict():
            return "a table"
        case None:
            return "missing"
        case _:
            return repr(value)


class Table:
    """One table of the document, with its path.

    Each getter checks its value; `finish` refuses keys that were never read. All of them raise
    ConfigError for an invalid value.
    """

    def __init__(self, file: str, prefix: str, values: Mapping[str, object]) -> None:
        self.file = file
        self.prefix = prefix
        self.values = values
        self.asked: list[str] = []

    def wrong(self, key: str, expected: str) -> ConfigError:
        """The error for a key that is not as *expected*, with file, key and value."""
        return ConfigError(
            f"{self.file}: {self.prefix}{key} must be {expected}, is {_shown(self.values.get(key))}"
        )

    def installed(self, key: str, kind: Kind, name: str, registry: Registry) -> None:
        """Refuse the name of a plugin that is unknown, broken, or declared twice."""
        try:
            registry.get(kind, name)
        except PluginError as error:
            raise PluginError(f"{self.file}: {self.prefix}{key}: {error}") from error

    def _get(self, key: str) -> object:
        self.asked.append(key)
        return self.values.get(key)

    def text(self, key: str, default: str) -> str:
        """Non-empty text."""
        value = self._get(key)
        if value is None:
            return default
        if not isinstance(value, str) or not value:
            raise self.wrong(key, "text" if value != "" else "non-empty text")
        return value

    def number(self, key: str, default: int) -> int:
        """A whole number from 1 up."""
        value = self._get(key)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.wrong(key, "a whole number from 1 up")
        return value

    def yes_no(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self._get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """A list of text, which may be empty."""
        value = self._get(key)
        if value is None:
            return default
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, "a list of text")
        return tuple(value)

    def currency(self, key: str, default: str) -> str:
        """A currency code."""
        code = self.text(key, default)
        if not is_currency(code):
            raise self.wrong(key, 'a currency code, for example "EUR"')
        return code

    def worth(self, key: str) -> Decimal:
        """A required number above 0."""
        amount = self.amount(key, Decimal(0))
        if not amount:
            raise self.wrong(key, 'a number above 0, for example "0.8654"')
        return amount

    def amount(self, key: str, default: Decimal) -> Decimal:
        """A number from 0 up; given as text, it keeps every digit."""
        value = self._get(key)
        if value is None:
            return default
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            amount = Decimal(-1)
        if isinstance(value, bool) or not amount.is_finite() or amount < 0:
            raise self.wrong(key, 'a number from 0 up, for example "0.50"')
        return amount

    def day(self, key: str) -> date:
        """A required date."""
        value = self._get(key)
        if not isinstance(value, date) or isinstance(value, datetime):
            raise self.wrong(key, "a date, for example 2026-11-20 without quotes")
        return value

    def setting(self, setting: Setting) -> object:
        """The value of a plugin's setting, checked against its kind."""
        if (value := self._get(setting.name)) is None or value == setting.default:
            return setting.default
        match setting.kind:
            case "text":
                return self.text(setting.name, "")
            case "number":
                return self.number(setting.name, 0)
            case "yes_no":
                return self.yes_no(setting.name, default=False)
            case "texts":
                return self.texts(setting.name, ())

    def table(self, key: str) -> Table:
        """A table inside this one; empty when it is missing."""
        value = self._get(key)
        if value is not None and not isinstance(value, dict):
            raise self.wrong(key, "a table")
        return Table(self.file, f"{self.prefix}{key}.", value or {})

    def finish(self) -> None:
        """Refuse unknown keys."""
        for key in self.values:
            if key not in self.asked:
                known = sorted(self.asked)
                raise ConfigError(
                    f"{self.file}: unknown key {self.prefix}{key}{suggestion(key, known)}; "
                    f"known keys: {', '.join(known) or 'none'}"
                )
