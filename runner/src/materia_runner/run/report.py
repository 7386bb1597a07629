"""The report of a run: what each stage did, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from materia.compute import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReport:
    """What one stage did.

    Attributes:
        stage: Its name.
        provider: Who ran it.
        seconds: From the request for a worker until it was gone.
        result: What the worker reported, ready for JSON.
    """

    stage: str
    provider: str
    seconds: float
    result: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What a run did: `materia run --json` prints it.

    Attributes:
        run: Its identity; sorts by time.
        stages: In the order they ran.
        seconds: In all.
        sample: Whether it read the sample.
        cost: What its machines cost, in the currency that costs are shown in; None is nothing.
    """

    run: str
    stages: tuple[StageReport, ...]
    seconds: float
    sample: bool = False
    cost: Money | None = None
