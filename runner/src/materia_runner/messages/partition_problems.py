"""Errors and warnings about single partitions, while the other partitions succeed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from materia_runner.messages.events import Event, Log

SHOWN = 20
ALIKE = 3  # more partitions with one reason are one line
ATTEMPTS = re.compile(r" \(\d+ attempts?\)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A partition that could not be fetched or used, or one that is used with a warning.

    Attributes:
        partition: Key of the partition.
        url: Address of the request.
        reason: The reason, in one sentence.
        source: Name of the source, when the pipeline has more than one; otherwise empty.
    """

    partition: str
    url: str
    reason: str
    source: str = ""

    @property
    def place(self) -> str:
        """The partition, after its source where there are several."""
        return " ".join(filter(None, (self.source, self.partition)))

    def __str__(self) -> str:
        """The reason, with the address if it does not have it."""
        return self.reason if self.url in self.reason else f"{self.url}: {self.reason}"


def _order(problem: Problem) -> tuple[str, str]:
    return problem.source, problem.partition


def listing(problems: Sequence[Problem]) -> str:
    """One line per problem, or for many of one reason, and the number of those after twenty lines.

    A server that is down is named once, and not for every month that it could not send.
    """
    groups: dict[tuple[str, str], list[Problem]] = {}
    for problem in sorted(problems, key=_order):
        groups.setdefault((problem.source, _cause(problem)), []).append(problem)
    lines: list[tuple[int, str]] = []
    for same in groups.values():
        first = same[0]
        if len(same) > ALIKE:
            span = f"{first.place} to {same[-1].partition}, {len(same)} partitions"
            lines.append((len(same), f"  {span}: {first}"))
        else:
            lines += [(1, f"  {problem.place}: {problem}") for problem in same]
    shown = [line for _, line in lines[:SHOWN]]
    if more := sum(count for count, _ in lines[SHOWN:]):
        shown.append(f"  and {more} more; --json lists all")
    return "\n".join(shown)


def _cause(problem: Problem) -> str:
    """The reason without what differs from one partition to the next."""
    return ATTEMPTS.sub("", problem.reason.replace(problem.url, ""))


def warn(remarks: Sequence[Problem], emit: Callable[[Event], None]) -> None:
    """Emit a warning for each of the first twenty remarks, and the number of the others."""
    shown = sorted(remarks, key=_order)[:SHOWN]
    for remark in shown:
        emit(Log(level="warning", message=f"{remark.place}: {remark}"))
    if (more := len(remarks) - len(shown)) > 0:
        message = f"{more} more partitions have warnings; --json and `materia runs show` list all"
        emit(Log(level="warning", message=message))
