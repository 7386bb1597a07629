"""The far end of a source, as `SourceContract` sees it, and what its tests do with it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from materia.data import (
    Fetched,
    FetchRequest,
    FetchResult,
    Known,
    LoadReport,
    LoadRequest,
    Partition,
    PartitionsRequest,
    RawFile,
    Refused,
)
from materia.kit.files import sha256_of
from materia.protocols import Source

from materia_testing.contracts.opened import Declared

# What every world can do or says why it cannot: a name here, with its reason, is in `lacks`.
ABILITIES: Mapping[str, str] = {
    "count": "`requests` and `sent` count what the source asks for",
    "rewrap": "a file can be published with the same rows and other bytes",
    "break_off": "an answer can end before its file does",
    "tear": "an answer can end before its file does, without having said how long that is",
    "contradict": "an answer can say that nothing has changed, of another file than was asked for",
}


class World(Protocol):
    """The place that a source reads from: a small server or folder of your own, on this machine."""

    @property
    def settings(self) -> Mapping[str, object]:
        """The settings under which the source reads this world and nothing else."""
        ...

    @property
    def keys(self) -> Sequence[str]:
        """Keys of three partitions, oldest first; nothing is published of them at the start."""
        ...

    @property
    def now(self) -> datetime:
        """A time, in UTC, at which all three are worth asking for when nothing is known."""
        ...

    @property
    def damages(self) -> Mapping[str, str]:
        """Ways in which a file can be of no use, and a word that the reason must have."""
        ...

    @property
    def lacks(self) -> Mapping[str, str]:
        """Why this world cannot do something of `ABILITIES`; its tests are skipped."""
        ...

    def publish(self, key: str, edition: int) -> None:
        """Put edition 1 or 2 of a partition there: they differ in their rows, and in nothing else.

        The same edition again has the same bytes.
        """
        ...

    def rewrap(self, key: str, edition: int) -> None:
        """Put an edition there in other bytes, for example compressed in another way."""
        ...

    def damage(self, key: str, how: str) -> None:
        """Put a file there that is damaged in a way named in `damages`."""
        ...

    def remove(self, key: str) -> None:
        """Let there be no such partition."""
        ...

    def break_off(self) -> None:
        """From now on end every answer with a file midway."""
        ...

    def tear(self) -> None:
        """From now on end every answer with a file midway, and announce no length before it."""
        ...

    def contradict(self, key: str, edition: int) -> None:
        """Put an edition there, and from now on say "not modified" whenever a condition is sent.

        With the ETag of the file that is there: as servers do that go by a date alone.
        """
        ...

    def vanish(self) -> None:
        """From now on let nothing be reached at all: the server is down, the folder is gone."""
        ...

    def heal(self) -> None:
        """Undo `break_off`, `tear`, `contradict` and `vanish`."""
        ...

    def requests(self) -> int:
        """How many requests have arrived."""
        ...

    def sent(self) -> int:
        """How many bytes of files have been sent."""
        ...

    def read(self, database: Path) -> object:
        """All that the raw layer holds, in a form that compares: for example sorted rows.

        Leave out what differs between two loads of the same files, such as the time of loading.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A fetched file where a sink would keep it."""

    raw: RawFile
    path: Path


def partition_of(source: Source, world: World, key: str) -> Partition:
    """The partition of that key, as the source lists it when nothing is known."""
    asked = source.partitions(PartitionsRequest(known={}, now=world.now))
    found = {partition.key: partition for partition in asked}
    assert key in found, f"{key} is not among the partitions {sorted(found)}"
    return found[key]


def fetch(
    source: Source, world: World, key: str, folder: Path, known: Known | None = None
) -> FetchResult:
    """One partition into *folder*, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    partition = partition_of(source, world, key)
    return source.fetch(FetchRequest(partition=partition, known=known, directory=folder))


def remembered(raw: RawFile) -> Known:
    """What a sink knows after it has recorded a file."""
    return Known(
        url=raw.url,
        checked_at=datetime.now(UTC),
        raw=raw,
        etag=raw.etag,
        last_modified=raw.last_modified,
    )


def refused_before(partition: Partition, result: Refused) -> Known:
    """What a sink knows after it has recorded a file of no use, of which there was none before."""
    sha256 = result.sha256 or (sha256_of(result.path) if result.path is not None else None)
    return Known(
        url=partition.url,
        checked_at=datetime.now(UTC),
        refused=result.reason,
        refused_sha256=sha256,
    )


def keep(source: Source, world: World, key: str, store: Path) -> Kept:
    """Fetch what is there now and keep it in *store*, as a sink would."""
    result = fetch(source, world, key, store / "fetched")
    assert isinstance(result, Fetched), result
    path = store / f"{result.raw.sha256}.{Path(result.raw.file).name}"
    shutil.move(result.path, path)
    return Kept(raw=result.raw, path=path)


def keep_edition(source: Source, world: World, key: str, edition: int, store: Path) -> Kept:
    """Publish an edition and keep it."""
    world.publish(key, edition)
    return keep(source, world, key, store)


def load_elsewhere(
    declared: Declared, database: Path, files: Sequence[Kept], scratch: Path
) -> LoadReport:
    """Load in a newly opened source; can be run in another process."""
    return load(declared.open(), database, files, scratch)


def load(
    source: Source,
    database: Path,
    files: Sequence[Kept],
    scratch: Path,
    *,
    published: Path | None = None,
) -> LoadReport:
    """Bring *database* to *files*; files that are kept and not given are found as well."""
    scratch.mkdir(parents=True, exist_ok=True)

    def find(_partition: str, file: str, sha256: str) -> Path | None:
        for store in {kept.path.parent for kept in files}:
            path = store / f"{sha256}.{Path(file).name}"
            if path.is_file():
                return path
        return None

    ordered = sorted(files, key=lambda kept: kept.raw.partition)
    return source.load(
        LoadRequest(
            database=database,
            files=tuple(kept.raw for kept in ordered),
            find=find,
            directory=scratch,
            published=published,
        )
    )
