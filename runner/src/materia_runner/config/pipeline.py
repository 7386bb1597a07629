"""The values of a pipeline, as materia.toml describes it; units in their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from materia.compute import Money, Requirements

from materia_runner.pricing.currency import Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of a pipeline, run on one worker.

    Attributes:
        name: `extract` or `transform`.
        requirements: What its worker must have, and how long it is thought to run.
        deadline: How long it may run at most; it is ended then, wherever it is.
        output_gib: What the next stage reads of it, in GiB: it has to be moved when that one runs
            elsewhere.
        minutes_configured: Whether materia.toml says how long it runs; otherwise earlier runs do.
        minutes_learnt: Whether earlier runs have said it.
        deadline_configured: Whether materia.toml says the deadline; otherwise it follows from how
            long the stage is thought to run.
    """

    name: str
    requirements: Requirements
    deadline: timedelta
    output_gib: Decimal = Decimal(0)
    minutes_configured: bool = False
    minutes_learnt: bool = False
    deadline_configured: bool = False

    def expecting(self, expected: timedelta) -> Stage:
        """The same stage, learnt to run so long: its deadline follows unless it is configured."""
        deadline = self.deadline if self.deadline_configured else default_deadline(expected)
        requirements = replace(self.requirements, expected=expected)
        return replace(self, requirements=requirements, deadline=deadline, minutes_learnt=True)


def default_deadline(expected: timedelta) -> timedelta:
    """How long a stage may run that is thought to run for *expected*: six times, at least 1 h."""
    return max(timedelta(hours=1), 6 * expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A place in an S3 object store.

    Attributes:
        url: Name of the bucket and prefix, for example `s3://acme/materia`.
        endpoint: Address of the store, or None for that of AWS.
        region: Of the bucket, or None for what the environment says.
    """

    url: str
    endpoint: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The caps on what is paid to providers, in the currency of `[currency]`, net of VAT.

    Attributes:
        max_cost: Of one run, or None.
        monthly: Of all runs that are in one ledger, in a calendar month (UTC), or None.
    """

    max_cost: Money | None = None
    monthly: Money | None = None


NO_BUDGET = Budget()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A source, its stages and a sink, as materia.toml describes them.

    Attributes:
        directory: Folder of materia.toml, or the current one; relative paths start here.
        providers: Names of those that may rent the machines; empty means auto: every one that is
            installed, rents, and has its credentials.
        source: Name of the source.
        sink: Name of the sink.
        stages: In the order they run.
        project: Folder of the SQLMesh project, or None when the source's own models are all.
        project_package: Name and version of the distribution that brings the project, or None.
        settings: Settings of the plugins, by kind and name: `settings["source", "psdonline"]`.
        sample: Whether the source reads the small data that comes with it.
        exchange: The currency that costs are compared in, and the rates that lead there.
        budget: What a run and a month may cost.
        artifacts: Where what workers run is kept, or None: it is then copied to each of them.
        esc: Pulumi ESC environment that secrets may come from, for example `acme/beanflows/prod`,
            or None.
        file: The materia.toml it was read from, or None.
    """

    directory: Path
    providers: tuple[str, ...]
    source: str
    sink: str
    stages: tuple[Stage, ...]
    project: Path | None
    settings: Mapping[tuple[str, str], Mapping[str, object]]
    project_package: str | None = None
    sample: bool = False
    exchange: Exchange = field(default_factory=Exchange)
    budget: Budget = NO_BUDGET
    artifacts: Bucket | None = None
    esc: str | None = None
    file: Path | None = None
