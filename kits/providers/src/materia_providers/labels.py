"""Labels that mark what materia created, so that teardown and sweep touch nothing else.

Everything created for an instance has four labels, or tags. A machine belongs to materia when its
name and its labels both say so: people and tools copy labels from one machine to another, and a
copied label must not turn a foreign database into a worker.
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
    "Owner",
    "entry_owner",
    "from_tags",
    "is_own_name",
    "owner_of",
    "read_owner",
    "to_tags",
]

RUN = "materia-run"
STAGE = "materia-stage"
NAME = "materia-name"
EXPIRES = "materia-expires"
# The names that materia gives to machines: `materia-`, the run and the stage.
OWN_NAME = re.compile(r"materia-[a-z0-9][a-z0-9-]{0,54}")
UNNAMED = object()  # for things without a name from materia: an address of a machine, for example


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Owner of a thing, as its labels say: instance, run, stage and deadline.

    Attributes:
        name: Name of the instance that it is, or was created for.
        run: Identity of the run.
        stage: Name of the stage.
        expires_at: Deadline after which any sweep may destroy it, in UTC, in whole seconds.
    """

    name: str
    run: str
    stage: str
    expires_at: datetime

    def labels(self) -> dict[str, str]:
        """The owner as labels, of letters, digits, `-`, `_` and `.`, as the strictest API wants."""
        return {
            NAME: self.name,
            RUN: self.run,
            STAGE: self.stage,
            EXPIRES: str(int(self.expires_at.timestamp())),
        }


def owner_of(request: InstanceRequest) -> Owner:
    """The owner of everything that is created for *request*."""
    return Owner(
        name=request.name, run=request.run, stage=request.stage, expires_at=request.expires_at
    )


def is_own_name(name: object) -> bool:
    """Whether *name* has the form of a machine name that materia gives."""
    return isinstance(name, str) and OWN_NAME.fullmatch(name) is not None


def read_owner(labels: object, *, named: object = UNNAMED) -> Owner | None:
    """Read the owner in *labels*; None when they are not materia's.

    A foreign label with the same name is not enough: all four labels must be text, the expiry must
    be a time, and the name must have the form that materia gives. *labels* may be any value that an
    API returns.

    Args:
        labels: Labels of the thing.
        named: Name of the thing itself, for machines and keys, which materia names. When it differs
            from the name in the labels, the labels were copied and are not materia's.
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
    return Owner(name=name, run=run, stage=stage, expires_at=expires_at)


def entry_owner(identity: object, labels: object, *, named: object = UNNAMED) -> Owner | None:
    """Read the owner of an entry of an API's list, which may be malformed or foreign.

    Raises:
        ValueError: the entry is materia's and has no id, or its labels cannot be read. It may be
            materia's, so leaving it out silently could hide an orphan.
    """
    owner = read_owner(labels, named=named)
    identified = isinstance(identity, str | int) and identity not in {"", 0}
    if identified and _is_readable(labels) and isinstance(_text(named), str | None):
        return owner
    stranger = isinstance(named, str) and bool(named) and not is_own_name(named)
    if owner is not None or not stranger:
        raise ValueError(f"its id is {identity!r}, and its labels or name do not show its owner")
    return None


def to_tags(labels: Mapping[str, str], *, separator: str = ":") -> list[str]:
    """The labels as tags, for a service that has tags without values: `materia-run:r1`."""
    return [f"{name}{separator}{value}" for name, value in labels.items()]


def from_tags(tags: object, *, separator: str = ":") -> object:
    """The tags of an entry as labels, for `entry_owner`; tags of others are left out.

    What is no list is returned as it is: `entry_owner` judges it.
    """
    if not isinstance(tags, list):
        return tags
    parts = (tag.partition(separator) for tag in tags if isinstance(tag, str))
    return {name: value for name, between, value in parts if between}


def _is_readable(labels: object) -> bool:
    """Whether there are no labels, or materia's labels are all text."""
    if not isinstance(labels, Mapping):
        return isinstance(labels, list | None)
    return all(isinstance(labels.get(key, ""), str) for key in (NAME, RUN, STAGE, EXPIRES))


def _text(named: object) -> object:
    return None if named is UNNAMED else named
