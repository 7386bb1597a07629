"""How materia marks what it rents, so that it finds all of it again and touches nothing else.

A provider with labels or tags carries four of them on everything that was made for an instance.
Only what has all four, readable, is materia's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from materia.machines import InstanceRequest

RUN = "materia-run"
STAGE = "materia-stage"
NAME = "materia-name"
EXPIRES = "materia-expires"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Whose something is.

    Attributes:
        name: Of the instance it is, or was made for.
        run: Identity of the run.
        stage: Name of the stage.
        expires_at: After this moment it may be destroyed by anyone, in UTC, to the second.
    """

    name: str
    run: str
    stage: str
    expires_at: datetime

    def labels(self) -> dict[str, str]:
        """As labels: letters, digits, `-`, `_` and `.`, as the strictest provider wants them."""
        return {
            NAME: self.name,
            RUN: self.run,
            STAGE: self.stage,
            EXPIRES: str(int(self.expires_at.timestamp())),
        }


def mark_of(request: InstanceRequest) -> Mark:
    """The mark for everything that is made for *request*."""
    return Mark(
        name=request.name, run=request.run, stage=request.stage, expires_at=request.expires_at
    )


def read_mark(labels: Mapping[str, str] | None) -> Mark | None:
    """The mark in *labels*, or None for what is not materia's.

    A stranger's label of the same name makes nothing ours: all four must be there, and the expiry
    must be a time.
    """
    if not labels or not all(labels.get(key) for key in (NAME, RUN, STAGE, EXPIRES)):
        return None
    try:
        expires_at = datetime.fromtimestamp(int(labels[EXPIRES]), UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return Mark(name=labels[NAME], run=labels[RUN], stage=labels[STAGE], expires_at=expires_at)
