"""What went wrong with single partitions, or is worth a warning, while everything else went on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from materia_runner.messages.events import Event, Log

SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A partition that could not be fetched or used; or that is used, with a remark.

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


def warn(remarks: Sequence[Problem], emit: Callable[[Event], None]) -> None:
    """A warning for each remark of a source about what is used; of very many, the first twenty."""
    shown = sorted(remarks, key=lambda remark: remark.partition)[:SHOWN]
    for remark in shown:
        emit(Log(level="warning", message=f"{remark.partition}: {remark}"))
    if (more := len(remarks) - len(shown)) > 0:
        message = f"{more} more warnings of partitions; --json and `materia runs show` list all"
        emit(Log(level="warning", message=message))
