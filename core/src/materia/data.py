"""Partitions, raw files, fetch results, tables: the values that sources and sinks exchange.

The values of renting a machine are in `compute.py`.
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
    "PublishedState",
    "RawFile",
    "Refused",
    "Table",
    "Unchanged",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Partition: the unit of a source that is fetched and replaced on its own.

    Attributes:
        key: Name inside its source; keys sort by time, for example `2025-11`.
        url: Address of the file; ETag and Last-Modified belong to this address.
        file: Name of the raw file, for example `psd_alldata_csv.zip`.
    """

    key: PartitionKey
    url: str
    file: FileName


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFile:
    """Raw file: a partition as it was downloaded; never changed afterwards.

    Attributes:
        partition: Key of the partition.
        file: Name without the content hash, as in the partition.
        url: Address that it was downloaded from.
        sha256: SHA-256 of the file's bytes, in hex.
        content: Hash of the rows, in hex: equal for two files that pack the same rows differently.
            A source that cannot compute one repeats `sha256`.
        size: Size in bytes.
        etag: ETag as the server sent it, quotes included, or None.
        last_modified: Last-Modified as the server sent it, or None.
        fetched_at: Time of the download, in UTC.
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
        url: Address of the last request.
        checked_at: Time of the last request, in UTC.
        raw: The file in use, or None.
        etag: ETag of the newest file, in use or in quarantine, once it is verified to belong to
            that file.
        last_modified: Last-Modified, under the same condition.
        refused: Why the newest file is in quarantine, or None.
        refused_sha256: SHA-256 of the file in quarantine, in hex, or None.
        denied: Whether the source says that it has no such partition, although the sink still uses
            a file of it.
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
    """Request to a source for the list of partitions to fetch or check now.

    Attributes:
        known: What the sink remembers, by partition key.
        now: The current time, in UTC.
        everything: Whether to check every partition again, known or not.
    """

    known: Mapping[str, Known]
    now: datetime
    everything: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRequest:
    """Request to a source to fetch one partition.

    Attributes:
        partition: The partition.
        known: What the sink remembers of it, or None.
        directory: An existing folder for the file; the source writes nothing else there.
        received: Callback for progress: call it with the bytes received since the last call.
    """

    partition: Partition
    known: Known | None
    directory: Path
    received: Callable[[int], None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A new or changed file, complete and checked.

    Attributes:
        raw: Metadata of the file.
        path: Path of the file; the sink moves it from there.
        remarks: Warnings for readers of the tables about a file that is used; a sentence each.
    """

    raw: RawFile
    path: Path
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """The server's file has not changed since it was last fetched.

    Attributes:
        etag: The newest ETag: a file republished with the same bytes gets a new one.
        last_modified: The newest Last-Modified.
        sha256: SHA-256 of the whole file, when the source read it again or the server listed it.
            None when only validators were compared: the sink then keeps the validators it knew.
    """

    etag: str | None
    last_modified: str | None
    sha256: Sha256 | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """The source has no such partition, or has it no longer.

    The sink goes on using a file that it has kept, and the runner warns the user.

    Attributes:
        reason: How the source said so, for the warning.
        removed: Whether the user removed it, for example from a folder: the sink then stops using
            its file.
    """

    reason: str = ""
    removed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A file that cannot be used: the sink keeps it in quarantine and never loads it.

    Attributes:
        reason: What is wrong with it.
        etag: ETag of the refused answer. The sink remembers it only after a later run has
            downloaded the same bytes: until then the transfer may be at fault. None when the file
            is visibly incomplete.
        last_modified: Last-Modified, remembered under the same condition.
        path: The file, or None when nothing of it was kept.
        sha256: SHA-256 of the file, in hex; computed from `path` when it is not given.
    """

    reason: str
    etag: str | None
    last_modified: str | None
    path: Path | None
    sha256: Sha256 | None = None


FetchResult = Fetched | Unchanged | Absent | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """Request to a source to load raw files into tables.

    Attributes:
        database: DuckDB file to load into; no other process has it open.
        files: The files in use, sorted by partition key.
        find: Function from partition key, file name and SHA-256 in hex to the path of the file;
            None when the sink no longer has it.
        directory: An existing folder for temporary files.
        published: The last published database, read-only, or None if it has nothing of the source:
            rows that differ from it are `affected`, also when an earlier load was never published.
        loaded: Callback for progress: call it after each partition with its key and the number
            of partitions left.
    """

    database: Path
    files: tuple[RawFile, ...]
    find: Callable[[str, str, str], Path | None]
    directory: Path
    published: Path | None = None
    loaded: Callable[[str, int], None] = lambda _key, _left: None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """Report of a load: which partitions and rows changed.

    Attributes:
        loaded: Keys of the partitions that were new or replaced.
        removed: Keys of the partitions that are no longer among the files.
        affected: Values of the time column whose rows differ from the published ones: incremental
            models are rebuilt for these values only.
        rows_added: Number of new rows, where a row with another value than before is new.
        rows_ended: Number of rows that are missing from the newest snapshot, or removed.
        refused: Reason by partition key, for files that turned out to be unusable.
        remarks: Warnings by partition key for readers of the tables, a sentence each: rows that
            are gone, for example. They cover every partition whose rows differ from the published
            ones, so that a load that was never published keeps its warnings.
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
    """A published table.

    Attributes:
        name: Name with its layer, for example `serving.fct_balance`.
        rows: Number of rows.
        description: One line for an analyst.
    """

    name: TableName
    rows: Count
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedState:
    """A publication that the sink still has.

    Attributes:
        run: The run that published it, or the name of a rollback.
        published_at: When, in UTC.
        rows: Number of rows of all its tables.
        size: Size of its database in bytes.
        place: Where it is in the sink: an object, or a snapshot.
        restores: For a rollback, the run that built its tables.
    """

    run: str
    published_at: datetime
    rows: int
    size: int
    place: str
    restores: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRequest:
    """Request to a sink to publish the finished tables of a run.

    Attributes:
        run: Identity of the run; publishing the same run twice changes nothing.
        database: DuckDB file that `checkout` returned, with all tables finished, and closed.
        tables: Names of the finished tables, with their layer.
        fingerprint: Hash of the models and of the data that the tables were built from.
    """

    run: str
    database: Path
    tables: tuple[TableName, ...]
    fingerprint: str
