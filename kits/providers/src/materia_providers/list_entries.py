"""Read a list of an API entry by entry: an odd entry is left out, with a line that says so.

APIs add kinds of entries, leave fields out and answer for nine of ten places. A plugin reads each
entry, and each place, under a `LeftOut`, and returns `Entries`: what it found, and what it left out
and why. The commands print those lines, and nobody takes a part for the whole.
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
# What taking an answer apart raises when it has another shape than the API's documents say.
ODD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
LINES = 5  # a list that is odd from end to end shows its first lines and a count
WIDTH = 200  # of what an API itself says
MOST = Decimal(1_000_000)


class Entries(tuple[T_co, ...]):  # noqa: SLOT001 -- a tuple can have none for its lines
    """A sequence of what was found, and one line for each thing that was left out."""

    left_out: tuple[str, ...]

    def __new__(cls, found: Iterable[T_co] = (), left_out: Iterable[str] = ()) -> Entries[T_co]:
        """All of *found*, in its order."""
        self = super().__new__(cls, found)
        self.left_out = tuple(left_out)
        return self


def left_out_of(found: object) -> tuple[str, ...]:
    """The lines that came with *found*; a plain list has none."""
    lines = getattr(found, "left_out", ())
    return tuple(str(line) for line in lines) if isinstance(lines, tuple | list) else ()


class LeftOut:
    """What was left out of a provider's answers, with the reasons."""

    def __init__(self, provider: str) -> None:
        """Nothing is left out yet.

        Args:
            provider: Its name, which each line begins with.
        """
        self._provider = provider
        self._entries: list[str] = []
        self._places: list[str] = []
        self.errors: list[ProviderError] = []

    @contextmanager
    def entry(self, what: str) -> Iterator[None]:
        """Leave *what* out, with a line, when the block cannot read it."""
        try:
            yield
        except ODD as error:
            self.add(what, reason_of(error))

    @contextmanager
    def place(self, what: str) -> Iterator[None]:
        """Leave *what* out, with a line, when the provider does not answer for it.

        Credentials that are refused are refused everywhere, so that error is raised.
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
        """Add what *other* has."""
        self.errors += other.errors
        self._places += other._places
        self._entries += [line for line in other._entries if line not in self._entries]

    def lines(self) -> tuple[str, ...]:
        """A line for each: every place, and the first of the entries with a count of the rest."""
        entries, rest = self._entries[:LINES], len(self._entries) - LINES
        more = [f"{self._provider}: {rest} more entries are left out"] if rest > 0 else []
        return (*sorted(self._places), *entries, *more)

    def __bool__(self) -> bool:
        """Whether anything was left out."""
        return bool(self._entries or self._places)


def reason_of(error: Exception) -> str:
    """What is wrong with an entry, in words."""
    if isinstance(error, KeyError) and error.args:
        return f"it has no {error.args[0]}"
    if isinstance(error, ValueError) and error.args:
        return str(error)
    return f"it cannot be read ({type(error).__name__})"


def printable(text: str) -> str:
    """On one line, at most 200 characters, without control characters."""
    line = on_one_line(text)
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def amount(
    value: object, what: str, *, least: Decimal = Decimal(0), most: Decimal = MOST
) -> Decimal:
    """A number of JSON as an exact decimal, from *least* to *most*.

    Raises:
        ValueError: it is no number, none that is finite, or one that cannot be.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(f"its {what} is {_shown(value)}, not a number")  # noqa: TRY004 -- data
    # A float prints the digits it was written with.
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not exact.is_finite() or not least <= exact <= most:
        raise ValueError(f"its {what} is {_shown(value)}, which cannot be")
    return exact


def amount_in(
    value: object, what: str, *, least: Decimal = Decimal(0), most: Decimal = MOST
) -> Decimal:
    """As `amount`, of an API that writes its decimals as text."""
    if not isinstance(value, str):
        raise ValueError(f"its {what} is {_shown(value)}, not a number as text")  # noqa: TRY004 -- data
    try:
        exact = Decimal(value)
    except ArithmeticError:
        raise ValueError(f"its {what} is {_shown(value)}, not a number") from None
    return amount(exact, what, least=least, most=most)


def whole(value: object, what: str, *, least: int = 1, most: int = int(MOST)) -> int:
    """A whole number, from *least* to *most*.

    Raises:
        ValueError: it is none, or one that cannot be.
    """
    exact = amount(value, what, least=Decimal(least), most=Decimal(most))
    if exact != int(exact):
        raise ValueError(f"its {what} is {_shown(value)}, not a whole number")
    return int(exact)


def word(value: object, what: str) -> str:
    """A text that is not empty and fits on a line.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str) or not value or not value.isprintable() or len(value) > WIDTH:
        raise ValueError(f"its {what} is {_shown(value)}, not a name")
    return value


def _shown(value: object) -> str:
    if value is None:
        return "missing"
    text = printable(repr(value))
    return text if len(text) <= 40 else f"{text[:37]}..."
