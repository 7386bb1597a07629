"""Read a list of an API entry by entry, and report malformed entries instead of failing.

APIs add kinds of entries, omit fields and fail for one region of ten. A plugin reads each entry,
and each region, under a `LeftOut`, and returns `Entries`: the entries it found, and a line for each
one it left out. The commands print those lines, so that a partial list does not look complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import TypeVar

from materia.errors import CredentialsError, ProviderError
from materia.printable import on_one_line

__all__ = [
    "ODD",
    "Entries",
    "LeftOut",
    "amount",
    "amount_in",
    "left_out_of",
    "printable",
    "reason_of",
    "whole",
    "word",
]

T_co = TypeVar("T_co", covariant=True)
# The errors of reading an answer that differs from the API's documentation.
ODD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
LINES = 5  # a list with more malformed entries shows its first lines and a count
WIDTH = 200  # characters of a text from an API
MOST = Decimal(1_000_000)


class Entries(tuple[T_co, ...]):  # noqa: SLOT001 -- a tuple can have none for its lines
    """The entries that were found, and one line for each entry that was left out."""

    left_out: tuple[str, ...]

    def __new__(cls, found: Iterable[T_co] = (), left_out: Iterable[str] = ()) -> Entries[T_co]:
        """Take all of *found*, in its order, and the lines of *left_out*."""
        self = super().__new__(cls, found)
        self.left_out = tuple(left_out)
        return self


def left_out_of(found: object) -> tuple[str, ...]:
    """The lines about left-out entries of *found*; a plain list has none."""
    lines = getattr(found, "left_out", ())
    return tuple(str(line) for line in lines) if isinstance(lines, tuple | list) else ()


class LeftOut:
    """Collect entries and regions that were left out of a provider's answers, with the reasons."""

    def __init__(self, provider: str) -> None:
        """Start with nothing left out.

        Args:
            provider: Name of the provider, with which each line begins.
        """
        self._provider = provider
        self._entries: list[str] = []
        self._places: list[str] = []
        self.errors: list[ProviderError] = []

    @contextmanager
    def entry(self, what: str) -> Iterator[None]:
        """Leave *what* out, and add a line, when the block cannot read it."""
        try:
            yield
        except ODD as error:
            self.add(what, reason_of(error))

    @contextmanager
    def place(self, what: str) -> Iterator[None]:
        """Leave *what* out, and add a line, when the provider does not answer for it.

        CredentialsError is raised, because refused credentials are refused in every region.
        """
        try:
            yield
        except CredentialsError:
            raise
        except ProviderError as error:
            self.errors.append(error)
            said = str(error).removeprefix(f"{self._provider}: ")
            self._places.append(f"{self._provider}: {what} is left out: {printable(said)}")

    def add(self, what: str, reason: str) -> None:
        """Leave *what* out for *reason*."""
        line = f"{self._provider}: {printable(what)} is left out: {printable(reason)}"
        if line not in self._entries:
            self._entries.append(line)

    def join(self, other: LeftOut) -> None:
        """Add the entries, regions and errors of *other*."""
        self.errors += other.errors
        self._places += other._places
        self._entries += [line for line in other._entries if line not in self._entries]

    def lines(self) -> tuple[str, ...]:
        """The lines: every region, the first entries, and a count of the other entries."""
        entries, rest = self._entries[:LINES], len(self._entries) - LINES
        more = [f"{self._provider}: {rest} more entries are left out"] if rest > 0 else []
        return (*sorted(self._places), *entries, *more)

    def __bool__(self) -> bool:
        """Whether anything was left out."""
        return bool(self._entries or self._places)


def reason_of(error: Exception) -> str:
    """The reason why an entry cannot be read, in words."""
    if isinstance(error, KeyError) and error.args:
        return f"it has no {error.args[0]}"
    if isinstance(error, ValueError) and error.args:
        return str(error)
    return f"it cannot be read ({type(error).__name__})"


def printable(text: str) -> str:
    """*text* on one line of at most 200 characters, without control characters."""
    line = on_one_line(text)
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def amount(
    value: object, what: str, *, least: Decimal = Decimal(0), most: Decimal = MOST
) -> Decimal:
    """Read a JSON number as an exact decimal from *least* to *most*.

    Raises:
        ValueError: it is not a number, not finite, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(f"its {what} is {_shown(value)}, not a number")  # noqa: TRY004 -- data
    # The repr of a float has the digits that it was written with.
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not exact.is_finite() or not least <= exact <= most:
        raise ValueError(f"its {what} is {_shown(value)}, which is out of range")
    return exact


def amount_in(
    value: object, what: str, *, least: Decimal = Decimal(0), most: Decimal = MOST
) -> Decimal:
    """Read a number that an API writes as text, as an exact decimal; raises as `amount`."""
    if not isinstance(value, str):
        raise ValueError(f"its {what} is {_shown(value)}, not a number as text")  # noqa: TRY004 -- data
    try:
        exact = Decimal(value)
    except ArithmeticError:
        raise ValueError(f"its {what} is {_shown(value)}, not a number") from None
    return amount(exact, what, least=least, most=most)


def whole(value: object, what: str, *, least: int = 1, most: int = int(MOST)) -> int:
    """Read a JSON number as a whole number from *least* to *most*.

    Raises:
        ValueError: it is not a whole number, or out of range.
    """
    exact = amount(value, what, least=Decimal(least), most=Decimal(most))
    if exact != int(exact):
        raise ValueError(f"its {what} is {_shown(value)}, not a whole number")
    return int(exact)


def word(value: object, what: str) -> str:
    """Read a text that is not empty and fits on one line.

    Raises:
        ValueError: it is not such a text.
    """
    if not isinstance(value, str) or not value or not value.isprintable() or len(value) > WIDTH:
        raise ValueError(f"its {what} is {_shown(value)}, not a name")
    return value


def _shown(value: object) -> str:
    if value is None:
        return "missing"
    text = printable(repr(value))
    return text if len(text) <= 40 else f"{text[:37]}..."
