"""Configuration values of a pipeline, from materia.toml, with units in their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from materia._dataclass import dataclass
from materia.compute import Architecture, Money, Requirements
from materia.errors import ConfigError
from materia.text import suggestion

from materia_runner.pricing.currency import Exchange
from materia_runner.secrets.redaction import BUCKET_KEYS, OWN_BUCKET_KEYS

LONGEST_LABEL = 100  # characters; a label is also part of the name of a file


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of a pipeline, run on one worker.

    Attributes:
        name: `extract` or `transform`.
        requirements: Requirements of its machine, and its expected duration.
        deadline: How long it may run at most; then the runner ends it.
        output_gib: Data that the next stage reads, in GiB: it has to be moved when that stage runs
            elsewhere.
        minutes_configured: Whether materia.toml sets the duration; otherwise earlier runs do.
        minutes_learnt: Whether the duration comes from earlier runs.
        deadline_configured: Whether materia.toml sets the deadline; otherwise it follows from the
            expected duration.
        sources: The sources that it fetches, when others are fetched by another worker; empty for
            all of the run.
        ways: Ways to share its sources among several workers, each with a stage for each worker;
            empty when one worker has all of them. The last way has the most workers.
    """

    name: str
    requirements: Requirements
    deadline: timedelta
    output_gib: Decimal = Decimal(0)
    minutes_configured: bool = False
    minutes_learnt: bool = False
    deadline_configured: bool = False
    sources: tuple[str, ...] = ()
    ways: tuple[tuple[Stage, ...], ...] = ()

    @property
    def label(self) -> str:
        """Its name, and the sources of a worker that has not all of them: `extract of acme`."""
        if not self.sources:
            return self.name
        label = f"{self.name} ({', '.join(self.sources)})"
        if len(label) <= LONGEST_LABEL:
            return label
        return f"{self.name} ({self.sources[0]}, and {len(self.sources) - 1} more sources)"

    def expecting(self, expected: timedelta) -> Stage:
        """The stage with a learnt duration; its deadline follows unless it is configured."""
        deadline = self.deadline if self.deadline_configured else default_deadline(expected)
        requirements = replace(self.requirements, expected=expected)
        return replace(self, requirements=requirements, deadline=deadline, minutes_learnt=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceNeeds:
    """What one source says of its extract, in `[sources.NAME.extract]`; None where it says nothing.

    Attributes:
        vcpus: Hardware threads.
        memory_gib: Main memory in GiB.
        disk_gib: Disk in GiB.
        architectures: Processors that it can use.
        dedicated: Whether to refuse shared and burstable processors.
        expected: Expected duration, when it is fetched alone.
        deadline: How long it may take at most.
        output_gib: Data that the next stage reads of it, in GiB.
    """

    vcpus: int | None = None
    memory_gib: Decimal | None = None
    disk_gib: int | None = None
    architectures: tuple[Architecture, ...] | None = None
    dedicated: bool | None = None
    expected: timedelta | None = None
    deadline: timedelta | None = None
    output_gib: Decimal | None = None


def default_deadline(expected: timedelta) -> timedelta:
    """Default deadline of a stage: six times the *expected* duration, at least 1 h."""
    return max(timedelta(hours=1), 6 * expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A place in an S3 object store.

    Attributes:
        url: Name of the bucket and prefix, for example `s3://acme/materia`.
        endpoint: Address of the store, or None for AWS.
        region: Region of the bucket, or None for the region in the environment.
        channel: Channel whose release the workers run; None to build what they run here.
        own_key: Whether its key is in variables of its own, which no sink shares: workers, which
            get the key of the sink, cannot write a release then.
    """

    url: str
    endpoint: str | None = None
    region: str | None = None
    channel: str | None = None
    own_key: bool = False

    @property
    def keys(self) -> tuple[str, str]:
        """The variables with its access key and the secret of that."""
        return OWN_BUCKET_KEYS if self.own_key else BUCKET_KEYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Caps on the cost of rented machines, in the currency of `[currency]`, net of VAT.

    Attributes:
        max_cost: Cap of one run, or None; materia.toml has `DEFAULT_CAP` unless it sets one.
        monthly: Cap of all runs in one ledger, per calendar month (UTC), or None.
    """

    max_cost: Money | None = None
    monthly: Money | None = None


NO_BUDGET = Budget()
# Of one run. Both stages on the cheapest machines cost a tenth of it in the worst case.
DEFAULT_CAP = Money(Decimal(1), "EUR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When runs and sweeps start by themselves.

    Attributes:
        run: Calendar expression of systemd, or None.
        sweep: Time from the end of a sweep to the next one, or None.
        swept_elsewhere: Whether another computer sweeps, as the user says.
    """

    run: str | None = None
    sweep: timedelta | None = None
    swept_elsewhere: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Sources, the stages and a sink, as materia.toml describes them.

    Attributes:
        directory: Folder of materia.toml, or the current one; relative paths start here.
        providers: Names of the providers to use; empty means auto: all that are installed, rent
            machines and have credentials.
        sources: Names of the sources, in the order of materia.toml; at least one.
        sink: Name of the sink.
        stages: The stages, in the order they run.
        project: Folder of the SQLMesh project, or None for only the source's own models.
        project_package: Name and version of the distribution that has the project, or None.
        settings: Settings of the plugins, by kind and name: `settings["source", "psdonline"]`.
        sample: Whether the sources read their bundled sample data.
        drop: Sources that were removed from `source`, and whose tables this run removes.
        only: The sources that this run fetches and loads, when they are not all.
        exchange: The currency that costs are compared in, and the exchange rates.
        budget: The caps of a run and of a month.
        artifacts: Bucket of the artifacts, or None to copy them to each worker.
        esc: Pulumi ESC environment for secrets, for example `acme/beanflows/prod`, or None.
        file: The materia.toml it was read from, or None.
        name: Name that tells it from other pipelines, in a bucket that they share.
        source_needs: What sources say of their own extract, by their names.
        schedule: When its runs and sweeps start by themselves.
        notify: What a webhook is notified of: `run`, `sweep`.
    """

    directory: Path
    providers: tuple[str, ...]
    sources: tuple[str, ...]
    sink: str
    stages: tuple[Stage, ...]
    project: Path | None
    settings: Mapping[tuple[str, str], Mapping[str, object]]
    project_package: str | None = None
    sample: bool = False
    only: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    exchange: Exchange = field(default_factory=Exchange)
    budget: Budget = NO_BUDGET
    artifacts: Bucket | None = None
    esc: str | None = None
    file: Path | None = None
    name: str = "pipeline"
    notify: tuple[str, ...] = ()
    source_needs: Mapping[str, SourceNeeds] = field(default_factory=dict)
    schedule: Schedule = field(default_factory=Schedule)

    @property
    def fetched(self) -> tuple[str, ...]:
        """Names of the sources that this run fetches and loads."""
        return self.only or self.sources

    @property
    def reads(self) -> str:
        """Names of the sources that this run fetches, for the ledger and for people."""
        return ", ".join(self.fetched)


def narrowed(pipeline: Pipeline, names: Sequence[str]) -> Pipeline:
    """The pipeline with a run that fetches only the sources *names*; all of them without names.

    Raises:
        ConfigError: the pipeline has no source of such a name.
    """
    for name in names:
        if name not in pipeline.sources:
            raise ConfigError(
                f"--source {name}: no source of this pipeline{suggestion(name, pipeline.sources)}; "
                f"its sources: {', '.join(pipeline.sources)}"
            )
    some = tuple(name for name in pipeline.sources if name in names)
    return replace(pipeline, only=() if some == pipeline.sources else some)
