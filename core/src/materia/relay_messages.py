"""What a worker and the sink at home say to one another, as values and as JSON.

A sink that keeps its store on the runner's machine stays there. The worker asks it by lines on its
standard output, and home answers by lines on its standard input. Files go beside that, by
`Session.upload` and `Session.download`, and are hashed on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from materia.model import Known


@dataclass(frozen=True, slots=True, kw_only=True)
class AtHome:
    """What the sink at home knows when a stage begins, so that it need not be asked.

    Attributes:
        known: Of each partition, by the name of the source and the partition's key.
        stamp: Of what was last published, or None.
    """

    known: Mapping[str, Mapping[str, Known]]
    stamp: str | None = None
