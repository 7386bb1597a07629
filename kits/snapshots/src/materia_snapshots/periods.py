"""Partitions by date: a file for each day, week, month, quarter or year, or a list of files."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote, unquote

from materia._dataclass import dataclass

if TYPE_CHECKING:
    from materia.data import Known, RawFile

__all__ = ["Days", "Listed", "Months", "Partitions", "Period", "Quarters", "Runs", "Weeks", "Years"]

# Older partitions, and those that never existed, are checked again this often, so that a late
# correction or a temporary fault of the server is noticed.
SETTLED_FOR = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """One partition: its key, its path, and the days that it holds for.

    Attributes:
        key: The partition key.
        path: Path of its file below the source's address.
        first: Its first day, or None for a file of a list.
        last: Its last day, or None for a file of a list.
    """

    key: str
    path: str
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True)
class _Dated(ABC):
    """A file for each period.

    Attributes:
        path: Path of a file below the source's address. `{year}`, `{quarter}`, `{month:02}`,
            `{day:02}`, and `{date:%Y%m%d}` stand for the first day of its period, and
            `{last:%Y%m%d}` for the last one.
        since: The oldest period: `2024`, `2024-Q1`, `2024-01` or `2024-01-31`. Users can change
            it.
    """

    path: str
    since: str

    NAME: ClassVar[str] = ""
    FORM: ClassVar[str] = ""
    EXAMPLE: ClassVar[str] = ""
    TEXT: ClassVar[str] = "%Y-%m-%d"

    def first(self, since: str) -> date | None:
        """The first day of the period *since*; None when it is no such period."""
        if not re.fullmatch(self.FORM, since, re.ASCII):
            return None
        try:
            return date.fromisoformat(f"{since}-01-01"[:10])
        except ValueError:
            return None

    def key(self, first: date) -> str:
        """The partition key of the period that begins on a day."""
        return first.strftime(self.TEXT)

    @abstractmethod
    def after(self, first: date) -> date:
        """The first day of the next period."""

    def periods(self, since: str, today: date) -> Iterator[Period]:
        """Every period that has begun, oldest first."""
        first = self.first(since)
        while first is not None and first <= today:
            after = self.after(first)
            last = after - timedelta(days=1)
            path = self.path.format(
                date=first,
                last=last,
                year=first.year,
                quarter=_quarter(first),
                month=first.month,
                day=first.day,
            )
            yield Period(key=self.key(first), path=path, first=first, last=last)
            first = after

    def of(self, key: str) -> Period | None:
        """The period of a partition key; None when it is no such key."""
        first = self.first(key)
        return None if first is None else next(self.periods(key, first), None)


class Days(_Dated):
    """A file for each day; `since` is a day such as 2024-01-31."""

    __slots__ = ()
    NAME, FORM, EXAMPLE = "day", r"\d{4}-\d{2}-\d{2}", "2024-01-31"

    def after(self, first: date) -> date:
        """The next day."""
        return first + timedelta(days=1)


class Weeks(_Dated):
    """A file for each week, from the weekday of `since`, a day such as 2024-01-05."""

    __slots__ = ()
    NAME, FORM, EXAMPLE = "day", r"\d{4}-\d{2}-\d{2}", "2024-01-05"

    def after(self, first: date) -> date:
        """The same weekday of the next week."""
        return first + timedelta(days=7)


class Months(_Dated):
    """A file for each month; `since` is a month such as 2024-01."""

    __slots__ = ()
    NAME, FORM, EXAMPLE, TEXT = "month", r"\d{4}-\d{2}", "2024-01", "%Y-%m"

    def after(self, first: date) -> date:
        """The first day of the next month."""
        return (first + timedelta(days=32)).replace(day=1)


class Quarters(_Dated):
    """A file for each quarter of a year; `since` is a quarter such as 2024-Q1."""

    __slots__ = ()
    NAME, FORM, EXAMPLE = "quarter", r"\d{4}-Q[1-4]", "2024-Q1"

    def first(self, since: str) -> date | None:
        """The first day of the quarter *since*; None when it is no such quarter."""
        year, _, number = since.partition("-Q")
        in_form = re.fullmatch(self.FORM, since, re.ASCII) and int(year) > 0
        return date(int(year), 3 * int(number) - 2, 1) if in_form else None

    def key(self, first: date) -> str:
        """The year and the quarter of a day."""
        return f"{first.year:04}-Q{_quarter(first)}"

    def after(self, first: date) -> date:
        """The first day of the next quarter."""
        return (first + timedelta(days=95)).replace(day=1)


def _quarter(day: date) -> int:
    return (day.month + 2) // 3


class Years(_Dated):
    """A file for each year; `since` is a year such as 2024."""

    __slots__ = ()
    NAME, FORM, EXAMPLE, TEXT = "year", r"\d{4}", "2024", "%Y"

    def after(self, first: date) -> date:
        """The first day of the next year."""
        return first.replace(year=first.year + 1)


@dataclass(frozen=True, slots=True)
class Listed:
    """A file for each of some names.

    Attributes:
        path: Path of a file below the source's address; `{key}` stands for the name.
        keys: The names, which are the partition keys.
    """

    path: str
    keys: tuple[str, ...]

    def periods(self, _since: str, _today: date) -> Iterator[Period]:
        """Every name, sorted."""
        for key in sorted(self.keys):
            yield Period(key=key, path=self.path.format(key=key))

    def of(self, key: str) -> Period | None:
        """The period of a partition key, which has no days."""
        return Period(key=key, path=self.path.format(key=key))


@dataclass(frozen=True, slots=True)
class Runs:
    """A partition for each run that finds new records behind the last cursor of an API.

    The first one begins at the start, each other one where the one before it ended. The records
    of a partition never change: a record that comes again is a row of a later partition.

    A partition whose file was refused is asked for again from its own begin, and then also has the
    records of all runs since. The files of these are kept, but out of use.
    """

    def following(self, base: str, known: Mapping[str, Known]) -> tuple[str, str]:
        """Key and address of the first run without a file; its cursor is in the address.

        An earlier one is never asked for again: the API would give the records of all later ones
        with its own, and they would be in two partitions.
        """
        files = [one.raw for one in known.values() if one.raw is not None]
        there = {raw.partition for raw in files}
        key = next(key for key in map("{:06}".format, count(1)) if key not in there)
        before = [raw for raw in self.in_use(files) if raw.partition < key]
        return key, with_cursor(base, cursor_of(before[-1].content) if before else "")

    def in_use(self, files: Iterable[RawFile]) -> list[RawFile]:
        """The files in order, without those whose records an earlier run has by now.

        A run begins where the one before it ended, unless that one was fetched again later. Behind
        a run without a file only the times can say so.
        """
        used: list[RawFile] = []
        number, gap = 0, False
        for raw in sorted(files, key=lambda one: one.partition):
            if self.of(raw.partition) is None:
                continue
            number, gap = int(raw.partition), gap or int(raw.partition) > number + 1
            last = used[-1] if used else None
            if (
                last is None
                or cursor_of(raw.url) == cursor_of(last.content)
                or (gap and raw.fetched_at > last.fetched_at)
            ):
                used.append(raw)
                gap = False
        return used

    def of(self, key: str) -> Period | None:
        """The period of a partition key, which has no days."""
        return Period(key=key, path="") if re.fullmatch(r"[0-9]{6}", key, re.ASCII) else None


AFTER = "#after="


def with_cursor(text: str, cursor: str) -> str:
    """*text* with a cursor behind it."""
    return f"{text}{AFTER}{quote(cursor, safe='')}" if cursor else text


def cursor_of(text: str) -> str:
    """The cursor behind a text; empty without one."""
    return unquote(text.partition(AFTER)[2])


Dated = Days | Weeks | Months | Quarters | Years
Partitions = Dated | Listed | Runs


def due(
    periods: Iterable[tuple[str, str]], known: Mapping[str, Known], now: datetime, *, newest: int
) -> set[str]:
    """The keys of *periods*, keys with addresses, to request now, from the records of earlier runs.

    Due are partitions never requested at this address, the *newest* ones with a file, anything
    newer, files that could not be used, partitions that the server denied, and those not checked
    for a month.
    """
    there = sorted(key for key, entry in known.items() if entry.raw)
    last, again = (there or [""])[-1], set(there[-newest:] if newest > 0 else ())

    def is_due(key: str, url: str) -> bool:
        before = known.get(key)
        if before is None or before.url != url or before.refused is not None or before.denied:
            return True
        if now - before.checked_at >= SETTLED_FOR or key > last:
            return True
        return not before.absent and key in again

    return {key for key, url in periods if is_due(key, url)}
