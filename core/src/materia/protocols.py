"""What a plugin promises. Each sentence here is a test in `materia_testing`.

A plugin needs no base class: an object with these methods is enough, and a type checker says what
is missing. Requests grow by fields with defaults; methods never gain a parameter.
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
        PublishRequest,
        RawFile,
        Table,
    )

__all__ = ["HasClock", "Provider", "Sink", "Source"]


class Provider(Protocol):
    """A place that rents machines."""

    def offers(self, requirements: Requirements, /) -> Sequence[Offer]:
        """What can be rented, net of VAT, dated, with availability.

        Filtering only saves requests: the runner filters again. Never empty without raising why.
        """
        ...

    def create_instance(self, request: InstanceRequest, /) -> Instance:
        """An instance of that name; the same name again adopts it and never makes a second.

        On any exception nothing that costs money is left. Raises CapacityError when the offer is
        sold out or the quota is used up.
        """
        ...

    def list_instances(self) -> Sequence[Instance]:
        """Every instance materia made, from any run, and nothing else.

        A place that cannot be listed is an error, or is named in the `left_out` of
        `materia_providers.list_entries.Entries`: the list is never shorter without a word.
        """
        ...

    def wait_for_ssh(self, instance: Instance, /, *, timeout: timedelta) -> Instance:
        """The instance with its host, once it can be reached; ReadyTimeoutError after *timeout*."""
        ...

    def destroy_instance(self, instance: Instance, /) -> None:
        """Return when the provider itself says that nothing of the instance is left.

        An unknown instance is not an error. Raises OrphanError with what remains.
        """
        ...


@runtime_checkable
class HasClock(Protocol):
    """What a provider may promise besides: the time by which its API lives.

    Deadlines are compared with it. Without it, the clock of the computer counts.
    """

    def clock(self) -> datetime | None:
        """The provider's time, in UTC, or None while it cannot be read; raises nothing."""
        ...


class Source(Protocol):
    """Where data comes from."""

    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        """The partitions worth asking for now, oldest first, each key once."""
        ...

    def fetch(self, request: FetchRequest, /) -> FetchResult:
        """One partition; called from several threads at once.

        A partial download never stays under its final name. An ETag that still matches costs one
        request and no bytes. Raises SourceError when the source cannot be asked; a file that
        cannot be used is an answer, `Refused`.
        """
        ...

    def load(self, request: LoadRequest, /) -> LoadReport:
        """Bring the raw layer to exactly the files given, one transaction a partition.

        Killed at any point, the next call goes on where this one stopped; called twice, the second
        call finds nothing to do. A file that cannot be used is reported as refused, and the
        partition stays as it was.
        """
        ...

    def models(self) -> Path | None:
        """The folder of the SQLMesh models that come with the source, or None."""
        ...


class Sink(Protocol):
    """Where raw files and finished tables are kept."""

    def known(self, source: str, /) -> Mapping[str, Known]:
        """What was recorded, by partition key."""
        ...

    def record(self, source: str, partition: Partition, result: FetchResult, /) -> None:
        """Keep what a fetch gave: the file first, then the word of it.

        A crash in between repeats work and never skips it. A refused file is put aside and the one
        in use stays in use.
        """
        ...

    def refuse(self, source: str, raw: RawFile, reason: str, /) -> None:
        """Put a kept file aside that could not be loaded; the one before it is in use again."""
        ...

    def find_raw(self, source: str, partition: str, file: str, sha256: str, /) -> Path | None:
        """A kept file on this machine, or None."""
        ...

    def fingerprint(self) -> str | None:
        """The fingerprint of what was last published; None before the first time."""
        ...

    def published(self) -> Path | None:
        """The published database, to read only; None before the first time."""
        ...

    def checkout(self) -> Path:
        """A private working copy of the published database, or an empty one.

        It continues the copy that a crashed run left, when that still starts from what is
        published. Raises BusyError when another process writes to the database.
        """
        ...

    def publish(self, request: PublishRequest, /) -> Sequence[Table]:
        """All tables or none: a reader sees the old state or the new.

        The same run twice changes nothing. Raises BusyError when the published database is held
        or has changed since `checkout`, and leaves it as it is.
        """
        ...
