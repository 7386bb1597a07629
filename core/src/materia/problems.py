"""What went wrong with single partitions while everything else went on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A partition that could not be fetched or used.

    Attributes:
        partition: Its key.
        url: Where it was asked for.
        reason: One sentence.
    """

    partition: str
    url: str
    reason: str

    def __str__(self) -> str:
        """The reason with the address, once."""
        return self.reason if self.url in self.reason else f"{self.url}: {self.reason}"


def listing(problems: Sequence[Problem]) -> str:
    """One line for each problem, the first twenty."""
    shown = sorted(problems, key=lambda problem: problem.partition)[:SHOWN]
    lines = [f"  {problem.partition}: {problem}" for problem in shown]
    if (more := len(problems) - SHOWN) > 0:
        lines.append(f"  and {more} more; --json lists all")
    return "\n".join(lines)
