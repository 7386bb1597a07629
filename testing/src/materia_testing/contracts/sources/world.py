"""World of the source contract: the server or folder that a source reads, with faults."""

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

# Abilities of a world; one without an ability gives the reason in `lacks`.
ABILITIES: Mapping[str, str] = {
    "count": "`requests` and `sent` count what the source asks for",
    "rewrap": "a file can be published with the same rows and other bytes",
    "validators": "the server gives ETags, and sends no bytes while the one in a request matches",
    "break_off": "an answer can end before its file does",
    "tear": "an answer without a length can end before its file does",
    "rows": "`expected` has the rows of an edition as they must be loaded",
    "dates": "`affected` of a load names the dates whose rows changed",
    "contradict": 'an answer can say "not modified" about another file than the requested one',
}


class World(Protocol):
    """The server or folder that a source reads: a small fake of your own, on this machine."""

    @property
    def settings(self) -> Mapping[str, object]:
        """The settings under which the source reads this world and nothing else."""
        ...

    @property
    def keys(self) -> Sequence[str]:
        """Keys of three partitions, oldest first; none is published at the start."""
        ...

    @property
    def now(self) -> datetime:
        """A time, in UTC, at which all three are due without any record."""
        ...

    @property
    def damages(self) -> Mapping[str, str]:
        """Ways to damage a file, each with a word that the reason must contain."""
        ...

    @property
    def lacks(self) -> Mapping[str, str]:
        """Reasons by missing ability of `ABILITIES`; the tests of those are skipped."""
        ...

    def publish(self, key: str, edition: int) -> None:
        """Publish edition 1 or 2 of a partition: they differ only in their rows.

        The same edition again has the same bytes.
        """
        ...

    def rewrap(self, key: str, edition: int) -> None:
        """Publish an edition with other bytes, for example with another compression."""
        ...

    def damage(self, key: str, how: str) -> None:
        """Publish a file that is damaged in a way named in `damages`."""
        ...

    def remove(self, key: str) -> None:
        """Remove a partition."""
        ...

    def break_off(self) -> None:
        """From now on end every answer with a file midway."""
        ...

    def tear(self) -> None:
        """From now on end every answer with a file midway, without a length header."""
        ...

    def contradict(self, key: str, edition: int) -> None:
        """Publish an edition, and from now on answer every conditional request "not modified".

        The answer has the ETag of the current file, as from servers that compare only dates.
        """
        ...

    def vanish(self) -> None:
        """From now on be unreachable: the server is down, the folder is gone."""
        ...

    def heal(self) -> None:
        """Undo `break_off`, `tear`, `contradict` and `vanish`."""
        ...

    def requests(self) -> int:
        """The number of requests so far."""
        ...

    def sent(self) -> int:
        """The number of file bytes sent so far."""
        ...

    def read(self, database: Path) -> object:
        """The content of the raw layer in a comparable form, for example sorted rows.

        Leave out values that differ between two loads of the same files, such as load times.
        """
        ...

    def expected(self, key: str, edition: int) -> Sequence[object]:
        """The rows that a partition must have when an edition of it alone is loaded.

        Write them by hand, with every digit as text, so that a rounded number differs.
        """
        ...

    def found(self, database: Path) -> Sequence[object]:
        """The rows that are loaded, in the form of `expected`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A fetched file in the place of a sink."""

    raw: RawFile
    path: Path


# Kits that do a source's work in its place: a kill can come between any two of their lines, too.
KITS = ("materia_http", "materia_snapshots")


def traced(module: str) -> str:
    """The packages whose lines are the steps of a source."""
    return " ".join((module, *KITS))


def partition_of(source: Source, world: World, key: str) -> Partition:
    """The partition with that key, as the source lists it without any record."""
    asked = source.partitions(PartitionsRequest(known={}, now=world.now))
    found = {partition.key: partition for partition in asked}
    assert key in found, (
        f"at {world.now:%Y-%m-%d} the source lists {sorted(found) or 'no partition'}, and not "
        f"{key}: give the stand-in of the tests the keys of its source, and a time at which they "
        "are due"
    )
    return found[key]


def fetch(
    source: Source, world: World, key: str, folder: Path, known: Known | None = None
) -> FetchResult:
    """Fetch one partition into *folder*, which this creates."""
    folder.mkdir(parents=True, exist_ok=True)
    partition = partition_of(source, world, key)
    return source.fetch(FetchRequest(partition=partition, known=known, directory=folder))


def remembered(raw: RawFile) -> Known:
    """A sink's record of a fetched file."""
    return Known(
        url=raw.url,
        checked_at=datetime.now(UTC),
        raw=raw,
        etag=raw.etag,
        last_modified=raw.last_modified,
    )


def refused_before(partition: Partition, result: Refused) -> Known:
    """A sink's record of a refused file, without an earlier file."""
    sha256 = result.sha256 or (sha256_of(result.path) if result.path is not None else None)
    return Known(
        url=partition.url,
        checked_at=datetime.now(UTC),
        refused=result.reason,
        refused_sha256=sha256,
    )


def keep(source: Source, world: World, key: str, store: Path) -> Kept:
    """Fetch the current file and keep it in *store*, as a sink would."""
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
    """Load in a newly opened source; runs in another process, too."""
    return load(declared.open(), database, files, scratch)


def load(
    source: Source,
    database: Path,
    files: Sequence[Kept],
    scratch: Path,
    *,
    published: Path | None = None,
) -> LoadReport:
    """Load *files* into *database*; earlier stored files are found as well."""
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
