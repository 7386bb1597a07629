"""Plugin protocols: the methods of a provider, a source and a sink, and what they promise.

Each sentence here is a test in `materia_testing`. A plugin needs no base class: an object with
these methods is enough, and a type checker finds missing ones. Later versions may add fields with
defaults to the requests; methods never gain a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from materia.compute import Instance, InstanceRequest, Offer, Requirements
    from materia.data import (
        FetchRequest,
        FetchResult,
        Known,
        LoadReport,
        LoadRequest,
        Partition,
        PartitionsRequest,
        PublishedState,
        PublishRequest,
        RawFile,
        Table,
    )

__all__ = ["HasClock", "HasHistory", "Provider", "Sink", "Source"]


class Provider(Protocol):
    """A provider that rents machines."""

    def offers(self, requirements: Requirements, /) -> Sequence[Offer]:
        """The offers with prices net of VAT, their date and availability.

        Filtering only saves requests: the runner filters again. Instead of an empty list the
        provider raises an error with the reason.
        """
        ...

    def create_instance(self, request: InstanceRequest, /) -> Instance:
        """Create an instance; idempotent: the same name again adopts it and never makes a second.

        On any exception nothing that costs money is left. Raises CapacityError when the offer is
        sold out or the quota is used up.
        """
        ...

    def list_instances(self) -> Sequence[Instance]:
        """Every instance that materia created, from any run, and nothing else.

        For a region that cannot be listed the provider raises an error, or names it in the
        `left_out` of `materia_providers.list_entries.Entries`: no instance is silently missing.
        """
        ...

    def wait_for_ssh(self, instance: Instance, /, *, timeout: timedelta) -> Instance:
        """Wait until its SSH port answers; return it with its host, or raise ReadyTimeoutError.

        The runner itself then checks that the server has the host key of the user data.
        """
        ...

    def destroy_instance(self, instance: Instance, /) -> None:
        """Destroy the instance and return once the provider confirms that nothing of it is left.

        An unknown instance is not an error. Raises OrphanError with what remains.
        """
        ...


@runtime_checkable
class HasClock(Protocol):
    """Optional method of a provider: the clock of its API.

    The runner compares deadlines with it, and otherwise with the clock of this computer.
    """

    def clock(self) -> datetime | None:
        """The provider's time, in UTC, or None when it cannot be read; raises nothing."""
        ...


class Source(Protocol):
    """A data source: lists partitions, fetches them and loads them into tables."""

    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        """The partitions to fetch or check now, oldest first, each key once."""
        ...

    def fetch(self, request: FetchRequest, /) -> FetchResult:
        """Fetch one partition; the runner calls it from several threads at once.

        A partial download never stays under its final name. An ETag that still matches costs one
        request and no bytes. Raises SourceError when the source does not answer; for a file that
        cannot be used it returns `Refused`.
        """
        ...

    def load(self, request: LoadRequest, /) -> LoadReport:
        """Make the raw tables hold exactly the files given, in one transaction per partition.

        When a load is killed, the next call resumes it; a second call finds nothing to do. A file
        that cannot be used is reported as refused, and its partition stays unchanged.
        """
        ...

    def models(self) -> Path | None:
        """The folder of the SQLMesh models that come with the source, or None."""
        ...


class Sink(Protocol):
    """A storage sink: keeps raw files and publishes finished tables."""

    def known(self, source: str, /) -> Mapping[str, Known]:
        """What the sink recorded of each partition, by key."""
        ...

    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        """Keep the result of a fetch: first the file, then the record of it.

        A crash in between repeats work and never skips it. A refused file goes into quarantine,
        and the file in use stays in use.
        """
        ...

    def refuse(self, source: str, raw: RawFile, reason: str, /) -> None:
        """Put a kept file that could not be loaded into quarantine; the file before it is used."""
        ...

    def find_raw(self, source: str, partition: str, file: str, sha256: str, /) -> Path | None:
        """Path on this machine of a kept raw file, or None."""
        ...

    def fingerprint(self) -> str | None:
        """Fingerprint of the published tables; None before the first publish."""
        ...

    def published(self) -> Path | None:
        """The published database, read-only; None before the first publish."""
        ...

    def checkout(self) -> Path:
        """A private working copy of the published database, or an empty database.

        It resumes the copy that a crashed run left, when that copy still starts from the published
        database. Raises BusyError when another process writes to the database.
        """
        ...

    def publish(self, request: PublishRequest, /) -> Sequence[Table]:
        """Publish all tables or none, atomically: a reader sees the old state or the new.

        Publishing the same run twice changes nothing. Raises BusyError, and changes nothing, when
        the published database is locked or has changed since `checkout`.
        """
        ...


@runtime_checkable
class HasHistory(Protocol):
    """Optional methods of a sink: list, read and restore its last publications."""

    def publications(self) -> Sequence[PublishedState]:
        """The publications that it still has, newest first; the first one is in force."""
        ...

    def published_by(self, run: str, /) -> Path:
        """The database that *run* published, read-only; SinkError when the sink has it no more."""
        ...

    def roll_back(self, to: str, /, *, run: str) -> None:
        """Publish the tables of the run *to* once more, in the name of *run*; twice is once.

        The fingerprint stays the same, so a run that finds nothing new leaves the rollback in
        force. Raises BusyError, and changes nothing, when another process writes or publishes.
        """
        ...
