"""How materia marks what it rents, so that it finds all of it again and touches nothing else.

A provider with labels or tags carries four of them on everything that was made for an instance.
A machine is materia's when its name and its labels both say so: labels are copied from one machine
to another, by people and by tools, and a copy of ours makes nobody's database a worker.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from materia.compute import InstanceRequest

__all__ = [
    "EXPIRES",
    "NAME",
    "RUN",
    "STAGE",
    "UNNAMED",
    "Mark",
    "entry_mark",
    "is_own_name",
    "mark_of",
    "read_mark",
]

RUN = "materia-run"
STAGE = "materia-stage"
NAME = "materia-name"
EXPIRES = "materia-expires"
# As materia forms the names of machines: `materia-`, the run and what the machine is for.
OWN_NAME = re.compile(r"materia-[a-z0-9][a-z0-9-]{0,54}")
UNNAMED = object()  # of what has no name of ours, as an address that came with a machine


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


def is_own_name(name: object) -> bool:
    """Whether materia could have given a machine that name."""
    return isinstance(name, str) and OWN_NAME.fullmatch(name) is not None


def read_mark(labels: object, *, named: object = UNNAMED) -> Mark | None:
    """The mark in *labels*, or None for what is not materia's.

    A stranger's label of the same name makes nothing ours: all four must be there as text, the
    expiry must be a time, and the name one that materia gives. *labels* may be anything that an
    API answered.

    Args:
        labels: Of the thing.
        named: What the thing itself is called, where materia gave it its name, as it does for
            machines and keys: another name than the one in the labels says that they were copied.
    """
    if not isinstance(labels, Mapping):
        return None
    values = [labels.get(key) for key in (NAME, RUN, STAGE, EXPIRES)]
    name, run, stage, expires = (value if isinstance(value, str) else "" for value in values)
    if not (run and stage and is_own_name(name)) or (named is not UNNAMED and named != name):
        return None
    try:
        expires_at = datetime.fromtimestamp(int(expires), UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return Mark(name=name, run=run, stage=stage, expires_at=expires_at)


def entry_mark(identity: object, labels: object, *, named: object = UNNAMED) -> Mark | None:
    """As `read_mark`, of an entry of a list, which may be odd and a stranger's.

    Raises:
        ValueError: the entry is materia's and has no identity, or it does not say whose it is: it
            may be materia's, so a list without it would be too short.
    """
    mark = read_mark(labels, named=named)
    identified = isinstance(identity, str | int) and identity not in {"", 0}
    if identified and _is_readable(labels) and isinstance(_text(named), str | None):
        return mark
    stranger = isinstance(named, str) and bool(named) and not is_own_name(named)
    if mark is not None or not stranger:
        raise ValueError(f"an entry with the id {identity!r} does not say whose it is")
    return None


def _is_readable(labels: object) -> bool:
    """Whether *labels* are none, or ours are texts as they were sent."""
    if not isinstance(labels, Mapping):
        return isinstance(labels, list | None)
    return all(isinstance(labels.get(key, ""), str) for key in (NAME, RUN, STAGE, EXPIRES))


def _text(named: object) -> object:
    return None if named is UNNAMED else named
