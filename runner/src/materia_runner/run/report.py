"""The report of a run: what each stage did, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from materia.compute import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReport:
    """What one stage did.

    Attributes:
        stage: Name of the stage.
        provider: Name of the provider that ran it.
        seconds: From the request for a worker until it was gone.
        result: Result that the worker reported, as JSON values.
    """

    stage: str
    provider: str
    seconds: float
    result: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What a run did: `materia run --json` prints it.

    Attributes:
        run: ID of the run; IDs sort by time.
        stages: Reports of the stages, in the order they ran.
        seconds: Duration of the run.
        sample: Whether the run read the sample.
        cost: Cost of its machines, in the currency that costs are shown in; None is nothing.
    """

    run: str
    stages: tuple[StageReport, ...]
    seconds: float
    sample: bool = False
    cost: Money | None = None
