"""The values of a pipeline and of its data: frozen, comparable, with units in their names.

What is rented is in `machines.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from materia.budget import NO_BUDGET, Budget
from materia.currency import Exchange
from materia.machines import Money, Requirements


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One unit of a source: fetched alone, replaced alone.

    Attributes:
        key: Name inside its source; sorts in the order of time, for example `2025-11`.
        url: Where it is read from; ETag and Last-Modified belong to this address.
        file: Name of the raw file, for example `psd_alldata_csv.zip`.
    """

    key: str
    url: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFile:
    """A partition as it was downloaded; never changed afterwards.

    Attributes:
        partition: Key of the partition.
        file: Name without the content hash, as in the partition.
        url: Where it came from.
        sha256: Of the file's bytes, in hex.
        content: Identity of what is inside, in hex: equal for two files with the same rows in
            another wrapping. A source that cannot tell repeats `sha256`.
        size: Bytes of the file.
        etag: As the server sent it, quotes included, or None.
        last_modified: As the server sent it, or None.
        fetched_at: In UTC.
    """

    partition: str
    file: str
    url: str
    sha256: str
    content: str
    size: int
    etag: str | None
    last_modified: str | None
    fetched_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the sink remembers of one partition.

    Attributes:
        url: The address that was asked.
        checked_at: When it was last asked, in UTC.
        raw: The file in use, or None.
        etag: Of the newest answer, whether accepted or refused.
        last_modified: Of the newest answer.
        refused: Why the newest file is in quarantine, or None.
    """

    url: str
    checked_at: datetime
    raw: RawFile | None = None
    etag: str | None = None
    last_modified: str | None = None
    refused: str | None = None

    @property
    def absent(self) -> bool:
        """Whether the source has answered that there is no such partition."""
        return self.raw is None and self.refused is None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionsRequest:
    """What a source needs to say which partitions are worth asking for now.

    Attributes:
        known: What the sink remembers, by partition key.
        now: In UTC.
        everything: Ask for every partition again, whatever is remembered.
    """

    known: Mapping[str, Known]
    now: datetime
    everything: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRequest:
    """What a source needs to fetch one partition.

    Attributes:
        partition: The partition.
        known: What the sink remembers of it, or None.
        directory: An existing folder for the file; nothing else is written there.
        received: Called with the number of bytes received since the last call.
    """

    partition: Partition
    known: Known | None
    directory: Path
    received: Callable[[int], None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A new or changed file, complete and checked."""

    raw: RawFile
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """The server still has what was fetched before.

    Attributes:
        etag: The newest ETag: a file republished with the same bytes gets a new one.
        last_modified: The newest Last-Modified.
    """

    etag: str | None
    last_modified: str | None


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no such partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A file arrived that cannot be used; it is kept aside and never loaded.

    Attributes:
        reason: What is wrong with it.
        etag: Of the refused answer, so that the same file is not downloaded twice.
        last_modified: Of the refused answer.
        path: The file, or None when nothing of it was kept.
    """

    reason: str
    etag: str | None
    last_modified: str | None
    path: Path | None


FetchResult = Fetched | Unchanged | Absent | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """What a source needs to turn raw files into rows.

    Attributes:
        database: DuckDB file to load into; nobody else has it open.
        files: The files in use, sorted by partition key.
        find: Path of a file kept by the sink, by partition key, file name and SHA-256 in hex;
            None when it is no longer kept.
        directory: An existing folder for temporary files.
        published: The database as it was last published, to read only, or None: what differs
            from it is `affected`, also when an earlier load was not followed by a publish.
        loaded: Called after each partition with its key and how many are still to come.
    """

    database: Path
    files: tuple[RawFile, ...]
    find: Callable[[str, str, str], Path | None]
    directory: Path
    published: Path | None = None
    loaded: Callable[[str, int], None] = lambda _key, _left: None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What a load changed.

    Attributes:
        loaded: Keys of the partitions that were new or replaced.
        removed: Keys of the partitions that are not among the files any more.
        affected: Values of the time column of incremental models whose rows are not what was
            published: they are rebuilt for these and no others.
        rows_added: Rows that were not there before.
        rows_ended: Rows that are not in the newest snapshot any more, or no longer at all.
        refused: Reason by partition key, for files that turned out to be unusable.
    """

    loaded: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    affected: tuple[date, ...] = ()
    rows_added: int = 0
    rows_ended: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table that was published.

    Attributes:
        name: With its layer, for example `serving.fct_balance`.
        rows: How many it has.
        description: One line for an analyst.
    """

    name: str
    rows: int
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRequest:
    """What a sink needs to publish the finished tables of a run.

    Attributes:
        run: Identity of the run; publishing the same run twice changes nothing.
        database: The DuckDB file that `checkout` gave, with all tables finished and closed.
        tables: Names of the finished tables, with their layer.
        stamp: Identity of the models and the data they were built from.
    """

    run: str
    database: Path
    tables: tuple[str, ...]
    stamp: str


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
    sample: bool = False
    exchange: Exchange = field(default_factory=Exchange)
    budget: Budget = NO_BUDGET
    artifacts: Bucket | None = None
    esc: str | None = None
    file: Path | None = None


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
