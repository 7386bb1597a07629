"""Validate one table of materia.toml: typed values, and a message for every mistake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from materia._dataclass import dataclass
from materia.errors import PluginError
from materia.hookspecs import Setting
from materia.plugins import Kind, Registry
from materia.text import suggestion

# Above what makes sense in any unit or currency, and below what no date or sum could hold.
MOST = 100_000_000
MOST_MONEY = 1_000_000_000_000


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A mistake in a configuration file.

    Attributes:
        file: Path of the file.
        key: The key with its tables, for example `stages.extract.vcpus`; empty for the whole file.
        message: What is wrong, on which file and key, and what to write.
    """

    file: str
    key: str
    message: str


@dataclass(slots=True, kw_only=True)
class Findings:
    """The mistakes that were found so far in one file, at most one for each key."""

    file: str
    mistakes: list[Mistake] = field(default_factory=list)

    def add(self, key: str, what: str) -> None:
        """Add a mistake, unless *key* has one already; *what* names the key."""
        if not self.has(key):
            self.mistakes.append(Mistake(file=self.file, key=key, message=f"{self.file}: {what}"))

    def has(self, key: str) -> bool:
        """Whether *key* has a mistake."""
        return any(one.key == key for one in self.mistakes)


def in_order(mistakes: Iterable[Mistake], document: Mapping[str, object]) -> tuple[Mistake, ...]:
    """The mistakes in the order of their keys in *document*; those of a whole file come first."""
    places = {key: number for number, key in enumerate(_keys(document))}

    def place(one: Mistake) -> int:
        key = one.key
        while key and key not in places:  # a missing key stands where its table is
            key = key.rpartition(".")[0]
        return places.get(key, -1)

    return tuple(sorted(mistakes, key=place))


def _keys(table: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{key}.")


class Table:
    """One table of the document, with its path.

    Each getter checks its value. For an invalid one it adds a mistake to the findings and returns
    the default, so that one reading finds every mistake. `finish` adds the keys that were never
    read.
    """

    def __init__(self, findings: Findings, prefix: str, values: Mapping[str, object]) -> None:
        self.findings = findings
        self.prefix = prefix
        self.values = values
        self.asked: list[str] = []

    def wrong(self, key: str, expected: str) -> None:
        """Add the mistake that a key is not as *expected*."""
        found = _shown(self.values.get(key))
        self.mistake(key, f"{self.prefix}{key} must be {expected}, is {found}")

    def mistake(self, key: str, what: str) -> None:
        """Add a mistake of this key; *what* names it."""
        self.findings.add(f"{self.prefix}{key}", what)

    def is_right(self, key: str) -> bool:
        """Whether no mistake was found in a key."""
        return not self.findings.has(f"{self.prefix}{key}")

    def installed(self, key: str, kind: Kind, name: str, registry: Registry) -> None:
        """Refuse the name of a plugin that is unknown, broken, or declared twice."""
        try:
            registry.get(kind, name)
        except PluginError as error:
            self.mistake(key, f"{self.prefix}{key}: {error}")

    def _get(self, key: str) -> object:
        self.asked.append(key)
        return self.values.get(key)

    def text(self, key: str, default: str) -> str:
        """Non-empty text."""
        value = self._get(key)
        if value is None:
            return default
        if isinstance(value, str) and value:
            return value
        self.wrong(key, "text" if value != "" else "non-empty text")
        return default

    def number(self, key: str, default: int) -> int:
        """A whole number from 1 up to MOST."""
        value = self._get(key)
        if value is None:
            return default
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST:
            return value
        is_large = isinstance(value, int) and value > MOST
        self.wrong(key, f"at most {MOST:,}" if is_large else "a whole number from 1 up")
        return default

    def yes_no(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self._get(key)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.wrong(key, "true or false")
        return default

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """A list of text, which may be empty."""
        value = self._get(key)
        if value is None:
            return default
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        self.wrong(key, "a list of text")
        return default

    def currency(self, key: str, default: str) -> str:
        """A currency code."""
        code = self.text(key, default)
        if is_currency(code):
            return code
        self.wrong(key, 'a currency code, for example "EUR"')
        return default

    def worth(self, key: str) -> Decimal:
        """A required number above 0."""
        amount = self.amount(key, Decimal(0))
        if not amount:
            self.wrong(key, 'a number above 0, for example "0.8654"')
        return amount

    def amount(self, key: str, default: Decimal) -> Decimal:
        """A number from 0 up to MOST_MONEY; given as text, it keeps every digit."""
        value = self._get(key)
        if value is None:
            return default
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            amount = Decimal(-1)
        if isinstance(value, bool) or not amount.is_finite() or amount < 0:
            self.wrong(key, 'a number from 0 up, for example "0.50"')
            return default
        if amount > MOST_MONEY:
            self.wrong(key, f"at most {MOST_MONEY:,}")
            return default
        return amount

    def day(self, key: str) -> date:
        """A required date; the earliest one for an invalid value."""
        value = self._get(key)
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        self.wrong(key, "a date, for example 2026-11-20 without quotes")
        return date.min

    def setting(self, setting: Setting) -> object:
        """The value of a plugin's setting, checked against its kind."""
        if (value := self._get(setting.name)) is None or value == setting.default:
            return setting.default
        match setting.kind:
            case "text":
                value = self.text(setting.name, "")
            case "number":
                value = self.number(setting.name, 1)
            case "yes_no":
                value = self.yes_no(setting.name, default=False)
            case "texts":
                value = self.texts(setting.name, ())
        return value if self.is_right(setting.name) else setting.default

    def table(self, key: str) -> Table:
        """A table inside this one; empty when it is missing."""
        value = self._get(key)
        if value is None or isinstance(value, dict):
            return Table(self.findings, f"{self.prefix}{key}.", value or {})
        self.wrong(key, "a table")
        return Table(self.findings, f"{self.prefix}{key}.", {})

    def finish(self, secrets: tuple[str, ...] = ()) -> None:
        """Refuse unknown keys; *secrets* are the variables that people may write here instead."""
        known = sorted(set(self.asked))
        for key in self.values:
            if key in known or not self.is_right(key):
                continue
            if secret := _secret(key, secrets):
                self.mistake(
                    key,
                    f"unknown key {self.prefix}{key}: {secret} is a variable; set it in the "
                    "environment or in .env, and take it out of this file",
                )
                continue
            self.mistake(
                key,
                f"unknown key {self.prefix}{key}{suggestion(key, known)}; "
                f"known keys: {', '.join(known) or 'none'}",
            )


def _secret(key: str, secrets: tuple[str, ...]) -> str:
    """The variable that *key* stands for, by its whole name or its last words; or nothing."""
    name = key.upper().replace("-", "_")
    return next((one for one in secrets if one == name or one.endswith(f"_{name}")), "")
