"""Message of a notification: what a person must do, by exit code, and the last lines. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BUSY = 5
LONGEST_LINE = 500  # characters
LONGEST = 10_000  # characters; a service for such messages keeps that much
# By exit code; every other code is that of a program that a signal ended.
TO_DO = {
    0: "done; nothing to do",
    1: "failed; see the reason below, and `materia runs show`",
    2: "wrong configuration; correct the option, materia.toml, plugin or secret named below: "
    "every run fails until then",
    3: "STILL COSTS MONEY; something could not be destroyed: run `materia sweep`, or delete it "
    "in the provider's console now",
    4: "no machine to run on, or over budget: raise [budget], name other providers, or "
    "wait for the next run",
    BUSY: "another run has the database or the lease; nothing to do, unless this message repeats",
}
NOT_UPDATED = (
    "this supervisor cannot use the release of its channel, and the one before stays in use: mend "
    "what is named below and push again, or go back with `materia artifact release`"
)
STOPPED = "stopped by a signal; the next run resumes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run or a sweep ended.

    Attributes:
        what: `run`, `sweep`, or `update` for a failed one of a supervisor.
        pipeline: Name of the pipeline.
        host: Name of the machine that it ran on.
        code: Its exit code.
        reason: The error, or an empty text.
        lines: The last lines of its log.
    """

    what: str
    pipeline: str
    host: str
    code: int
    reason: str = ""
    lines: Sequence[str] = ()


def ending(code: int) -> str:
    """What healthchecks.io's protocol adds to the address for an exit code.

    A run that another one kept from its work is no failure: it is only logged there.
    """
    if code == BUSY:
        return "/log"
    return f"/{code}" if code else ""


def body(outcome: Outcome) -> str:
    """The text of a notification; redact it before it is sent."""
    to_do = NOT_UPDATED if outcome.what == "update" else TO_DO.get(outcome.code, STOPPED)
    head = (
        f"materia {outcome.what} of {outcome.pipeline} on {outcome.host}: {to_do} "
        f"(exit code {outcome.code})"
    )
    parts = [head]
    if outcome.reason:
        parts += ["", *_cut(outcome.reason.splitlines())]
    if outcome.code and outcome.lines:
        parts += ["", "last lines:", *_cut(outcome.lines)]
    text = "\n".join(parts)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]}\n..."


def _cut(lines: Sequence[str]) -> list[str]:
    return [line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}..." for line in lines]
