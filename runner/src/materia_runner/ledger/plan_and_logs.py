"""Plan and logs of a run in its copy: the shape of a plan is checked, long logs are cut.

Other computers can write to the place that a copy comes from. `materia runs show` prints a plan as
the ledger has it, so a plan from a copy must have the form that is printed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from materia.compute import Money
from materia.forms import FILE_NAME, Range

from materia_runner.codec import decode, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from materia_runner.ledger.rows import StageRow

LONGEST_PLAN = 1 << 20  # characters; a usual one has 25,000
# Of one log: its beginning, and its end, where a failure is.
BEGINNING = 12_000  # characters
END = 48_000
LONGEST_LOGS = 500_000  # characters of all logs of a run


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCopy:
    """The log of one attempt at a stage; of a long one the beginning and the end.

    Attributes:
        stage: Name of the stage.
        attempt: Number of the attempt.
        text: The lines.
    """

    stage: Annotated[str, FILE_NAME]
    attempt: Annotated[int, Range(1, 1_000_000)]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    provider: str = ""
    instance_type: str = ""
    zone: str | None = None
    region: str | None = None
    availability: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quote:
    offer: _Offer | None = None
    cost: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Passed:
    count: int
    provider: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placement:
    stages: tuple[_Named, ...] | None = None
    quotes: tuple[_Quote, ...] | None = None
    more_quotes: int = 0
    passed_over: tuple[_Passed, ...] | None = None
    chosen: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Alternative:
    sharing: str = ""
    total: Money | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reason:
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What is printed of a plan; it may have more."""

    total: Money | None = None
    worst: Money | None = None
    why: str | None = None
    placements: tuple[_Placement, ...] | None = None
    legs: tuple[_Placement, ...] | None = None  # their name in an older version
    alternatives: tuple[_Alternative, ...] | None = None
    unanswered: tuple[_Reason, ...] | None = None
    left_out: tuple[str, ...] | None = None
    release: str = ""


def check_plan(plan: Mapping[str, Any]) -> None:
    """Check that a plan from a copy can be printed.

    Raises:
        MalformedError: it cannot.
    """
    decode(_Plan, plan, newer=True)


def plan_to_copy(plan: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The plan for a copy; None when it is very long: the rest of the copy must get through."""
    return plan if plan is not None and len(json.dumps(plain(plan))) <= LONGEST_PLAN else None


def logs_to_copy(
    stages: Sequence[StageRow], path: Callable[[StageRow], Path]
) -> tuple[LogCopy, ...]:
    """The logs of a run for its copy, in the order of *stages*; the newest when they are long.

    Args:
        stages: The attempts at its stages, in the order of their starts.
        path: Where the log of an attempt is, if there is one.
    """
    logs: list[LogCopy] = []
    left = LONGEST_LOGS
    for row in reversed(stages):
        text = _cut_log(path(row))
        if text is not None and FILE_NAME.fits(row.stage) and len(text) <= left:
            left -= len(text)
            logs.append(LogCopy(stage=row.stage, attempt=row.attempt, text=text))
    return tuple(reversed(logs))


def _cut_log(log: Path) -> str | None:
    """The text of a log, without its middle when it is long; None when it cannot be read."""
    longest = BEGINNING + END
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            if size <= longest:
                return file.read(longest).decode(errors="replace")
            head = file.read(BEGINNING)
            file.seek(size - END)
            tail = file.read(END)
    except OSError:
        return None
    # Whole lines, so that none begins or ends within a character.
    first = head[: head.rfind(b"\n") + 1].decode(errors="replace")
    last = tail[tail.find(b"\n") + 1 :].decode(errors="replace")
    cut = size - len(head) - len(tail)
    return f"{first}... more than {cut:,} bytes are only on the computer of the run ...\n{last}"
