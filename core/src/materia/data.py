"""The values of a pipeline's data and runs: frozen, comparable, with units in their names.

The pipeline itself is in `pipeline.py`, what is rented in `machines.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from materia.forms import Count, FileName, PartitionKey, Sha256, TableName

__all__ = [
    "Absent",
    "FetchRequest",
    "FetchResult",
    "Fetched",
    "Known",
    "LoadReport",
    "LoadRequest",
    "Partition",
    "PartitionsRequest",
    "PublishRequest",
    "RawFile",
    "Refused",
    "Table",
    "Unchanged",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One unit of a source: fetched alone, replaced alone.

    Attributes:
        key: Name inside its source; sorts in the order of time, for example `2025-11`.
        url: Where it is read from; ETag and Last-Modified belong to this address.
        file: Name of the raw file, for example `psd_alldata_csv.zip`.
    """

    key: PartitionKey
    url: str
    file: FileName


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

    partition: PartitionKey
    file: FileName
    url: str
    sha256: Sha256
    content: str
    size: Count
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
        etag: Of the newest file, in use or in quarantine, when it was verified to be that file's.
        last_modified: As `etag`.
        refused: Why the newest file is in quarantine, or None.
        refused_sha256: Of the file in quarantine, in hex, or None.
        denied: The source says that it has no such partition, though a file of it is in use.
    """

    url: str
    checked_at: datetime
    raw: RawFile | None = None
    etag: str | None = None
    last_modified: str | None = None
    refused: str | None = None
    refused_sha256: Sha256 | None = None
    denied: bool = False

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
    """A new or changed file, complete and checked.

    Attributes:
        raw: What it is.
        path: Where it lies; the sink takes it from there.
        remarks: What a reader of the tables should know of it although it is used; a sentence each.
    """

    raw: RawFile
    path: Path
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """The server still has what was fetched before.

    Attributes:
        etag: The newest ETag: a file republished with the same bytes gets a new one.
        last_modified: The newest Last-Modified.
        sha256: Of the whole file, when it was read again or the server listed its hash. None when
            validators alone were compared: then the ones known before are kept.
    """

    etag: str | None
    last_modified: str | None
    sha256: Sha256 | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no such partition.

    A file that is kept of it stays in use, and the user is warned: archives lose nothing, servers
    do.

    Attributes:
        reason: How the source said so, for the warning.
        removed: The user's own doing, for example in a folder: the file goes out of use.
    """

    reason: str = ""
    removed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A file arrived that cannot be used; it is kept aside and never loaded.

    Attributes:
        reason: What is wrong with it.
        etag: Of the refused answer. It is remembered only once a second download, in a later run,
            has brought the same bytes: until then the fault may be one of the transfer. None when
            the file itself shows that it did not arrive whole.
        last_modified: As `etag`.
        path: The file, or None when nothing of it was kept.
        sha256: Of the file, in hex; taken from `path` when it is not given.
    """

    reason: str
    etag: str | None
    last_modified: str | None
    path: Path | None
    sha256: Sha256 | None = None


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
        remarks: By partition key what a reader of the tables should know of a file although it is
            used, a sentence each: rows that are gone, for example. Of all partitions whose rows are
            not what was published, so that a load which was not followed by a publish is not
            forgotten.
    """

    loaded: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    affected: tuple[date, ...] = ()
    rows_added: int = 0
    rows_ended: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table that was published.

    Attributes:
        name: With its layer, for example `serving.fct_balance`.
        rows: How many it has.
        description: One line for an analyst.
    """

    name: TableName
    rows: Count
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRequest:
    """What a sink needs to publish the finished tables of a run.

    Attributes:
        run: Identity of the run; publishing the same run twice changes nothing.
        database: The DuckDB file that `checkout` gave, with all tables finished and closed.
        tables: Names of the finished tables, with their layer.
        fingerprint: Identity of the models and the data they were built from.
    """

    run: str
    database: Path
    tables: tuple[TableName, ...]
    fingerprint: str
