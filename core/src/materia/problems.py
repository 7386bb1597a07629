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


def listing(problems: Sequence[Problem]) -> str:
    """One line for each problem, the first twenty; the address once."""
    lines = []
    for problem in sorted(problems, key=lambda problem: problem.partition)[:SHOWN]:
        where = "" if problem.url in problem.reason else f"{problem.url}: "
        lines.append(f"  {problem.partition}: {where}{problem.reason}")
    if (more := len(problems) - SHOWN) > 0:
        lines.append(f"  and {more} more; --json lists all")
    return "\n".join(lines)
