"""Raw files and quarantine in the bucket, with a `known.json` for each partition.

    raw/acme/partitions.json                                 the index, see `partition_index`
    raw/acme/2026-01/known.json                              the record of the partition 2026-01
    raw/acme/2026-01/prices.0123456789abcdef.zip             a raw file, with part of its SHA-256
    raw/acme/2026-01/quarantine/prices.123456789abcdef0.zip         a file that could not be used
    raw/acme/2026-01/quarantine/prices.123456789abcdef0.zip.reason  the reason

The sink `duckdb` uses the same names and contents: you can copy a folder of its raw files here.
materia never changes or removes a raw file. It swaps `known.json` with If-Match on its ETag, so two
parallel extracts never lose each other's records.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from materia.data import Fetched, FetchResult, Known, Partition, RawFile, Refused, Unchanged
from materia.errors import BusyError, SinkError
from materia.kit.files import sha256_of

from materia_store.bucket.cache import Cache
from materia_store.bucket.objects import ListedObject, Objects
from materia_store.bucket.partition_index import INDEX, add_to_index, read_index
from materia_store.known_partitions import (
    KNOWN,
    QUARANTINE,
    Memory,
    after,
    decode,
    encode,
    hashed,
    name,
)

__all__ = [
    "RawFiles",
]

READERS = 16
TRIES = 20  # attempts: other writers were faster each time
# The index is not written for every file of an extract; a run that is killed within this time may
# miss its last records in the index.
INDEX_EVERY = timedelta(seconds=2)
GONE = "it was removed from the bucket or damaged there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """The last state of a `known.json` that this process read or wrote."""

    etag: str
    memory: Memory


class RawFiles:
    """The raw files of every source."""

    def __init__(self, objects: Objects, cache: Cache, *, published: str) -> None:
        """Keep the raw files in *objects*; *cache* has local copies; *published*: the pointer."""
        self._published = published
        self._objects = objects
        self._cache = cache
        self._versions: dict[str, Version] = {}
        self._listed: set[str] = set()
        self._recorded: dict[str, set[str]] = {}  # partitions by source
        self._lost: dict[str, dict[str, str]] = {}  # names by partition, by source
        self._indexed: dict[str, frozenset[str]] = {}
        self._indexed_at = -math.inf

    def known(self, source: str) -> dict[str, Known]:
        """The records by partition key; this reads only changed ones again.

        The record of a file that was removed by hand has no ETag and no Last-Modified, so that the
        source fetches the file again. A recorded partition that is not listed is requested by its
        name; if it does not exist, the result lacks it, and `miss_nothing` raises.

        Raises:
            SinkError: a `known.json` is damaged, or the store cannot be reached.
        """
        listed = self._objects.listed(_of_source(source))
        indexed = read_index(self._objects, _of_index(source))
        # Listings and the index may lack what this process has just recorded.
        sure = {
            f"{_of_partition(source, key)}/{KNOWN}": key
            for key in indexed | self._recorded.get(source, set())
        }
        lost = {}
        words = {*sure, *(one for one in listed if one.endswith(f"/{KNOWN}"))}

        def known_of(word: str) -> tuple[str, Known] | None:
            version = self._version(word, listed.get(word))
            if version is not None:
                return self._known(source, word, version.memory, listed)
            if word in sure:
                lost[sure[word]] = word
            return None

        with ThreadPoolExecutor(READERS, thread_name_prefix="known") as pool:
            found = dict(filter(None, pool.map(known_of, sorted(words))))
        self._listed.add(source)
        self._lost[source] = dict(sorted(lost.items()))
        self._indexed[source] = indexed
        if source in self._recorded:
            self._recorded[source] |= found.keys()
            self._index(source)
        return dict(sorted(found.items()))

    def _known(
        self, source: str, word: str, memory: Memory, listed: Mapping[str, ListedObject]
    ) -> tuple[str, Known]:
        if f"{_of_partition(source, memory.partition)}/{KNOWN}" != word:
            raise SinkError(
                f"{self._objects.address.url(word)}: records the partition {memory.partition!r}, "
                "and is in the folder of another; delete it, and run again"
            )
        known = memory.known
        if known.raw is not None:
            file = _of_raw(source, memory.partition, known.raw)
            if file not in listed and self._objects.ask(file) is None:
                known = replace(known, etag=None, last_modified=None)
        return memory.partition, known

    def _index(self, source: str) -> None:
        """Add the recorded partitions that the index lacks."""
        if self._recorded[source] <= self._indexed.get(source, frozenset()):
            return
        self._indexed[source] = add_to_index(
            self._objects, _of_index(source), self._recorded[source]
        )
        self._indexed_at = time.monotonic()

    def miss_nothing(self) -> None:
        """Check that the last call of `known` found every recorded partition.

        Raises:
            SinkError: a record is missing, and tables built without it would lack its rows.
        """
        url = self._objects.address.url
        for source, lost in self._lost.items():
            for partition, word in lost.items():
                more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
                raise SinkError(
                    f"{url(word)}: is missing{more}, though {partition} was recorded, and "
                    "materia never removes a record; nothing is published. Run again: the "
                    "extract fetches it once more. If you removed it on purpose, delete "
                    f"{url(_of_index(source))} and {self._published} too"
                )

    def record(self, source: str, partition: Partition, result: FetchResult) -> None:
        """Record the result of a fetch: first the file, then `known.json`.

        This moves the file from the place where the source put it to the cache.
        """
        now = datetime.now(UTC)
        # The swap detects a record that another run wrote since the listing.
        ask = source not in self._listed or isinstance(result, Unchanged)
        folder = _of_partition(source, partition.key)
        moved = self._keep(source, partition, result)

        def change(memory: Memory | None) -> Memory | None:
            return after(memory, source, partition, result, now=now)

        self._change(f"{folder}/{KNOWN}", change, ask=ask)
        self._recorded.setdefault(source, set()).add(partition.key)
        moved()
        if time.monotonic() - self._indexed_at >= INDEX_EVERY.total_seconds():
            self._index(source)

    def refuse(self, source: str, raw: RawFile, reason: str) -> None:
        """Copy a file that could not be loaded to quarantine; the one before it is in use.

        A file that is neither in use nor in the history has been refused already. A file that was
        removed by hand or damaged loses its record, so that the source fetches it again.
        """
        file = _of_raw(source, raw.partition, raw)
        there = self._objects.ask(file)
        good = there is not None and there.size == raw.size
        aside = False

        def change(memory: Memory | None) -> Memory | None:
            nonlocal aside
            if memory is None or raw.sha256 not in {one.sha256 for one in memory.files}:
                return memory
            if good and not aside:
                folder, _, kept = file.rpartition("/")
                self._objects.copy(file, self._reason(folder, kept, reason), size=raw.size)
                aside = True
            was_in_use = memory.known.raw is not None and memory.known.raw.sha256 == raw.sha256
            memory = memory.without_file(raw)
            known = memory.known
            if not good:
                refused = GONE if known.raw is None else known.refused
                known = replace(known, etag=None, last_modified=None, refused=refused)
            elif was_in_use:
                known = replace(known, refused=reason, refused_sha256=raw.sha256)
            return replace(memory, known=known)

        word = f"{_of_partition(source, raw.partition)}/{KNOWN}"
        self._versions.pop(word, None)  # another run may have moved it to quarantine already
        self._change(word, change, ask=True)

    def find(self, source: str, partition: str, file: str, sha256: str) -> Path | None:
        """The local copy of a raw file, or None.

        Raises:
            SinkError: it is damaged in the bucket, or the store cannot be reached.
        """
        return self._cache.fetch(
            f"{_of_partition(source, partition)}/{hashed(file, sha256)}", sha256
        )

    def _keep(self, source: str, partition: Partition, result: FetchResult) -> Callable[[], None]:
        """Upload a fetched file, if any; return the step to do after `known.json` is written."""
        match result:
            case Fetched(raw=raw, path=path):
                file = _of_raw(source, partition.key, raw)
                if not path.exists():
                    there = self._objects.ask(file)
                    if there is not None and there.size == raw.size:
                        return lambda: None  # stored by a run that was killed before its last step
                    raise SinkError(f"{path}: no longer exists; run again")
                size = path.stat().st_size
                if size != raw.size or sha256_of(path) != raw.sha256:
                    raise SinkError(
                        f"{path}: has {size} bytes that are not the {raw.size} that were fetched; "
                        "run again"
                    )
                self._objects.keep(file, path)
                return lambda: self._cache.offer(path, file)
            case Refused(reason=reason, path=Path() as path):
                kept = hashed(partition.file, sha256_of(path))
                folder = _of_partition(source, partition.key)
                self._objects.upload(self._reason(folder, kept, reason), path)
                return lambda: path.unlink(missing_ok=True)
        return lambda: None

    def _reason(self, folder: str, kept: str, reason: str) -> str:
        """The name of a file in quarantine; this writes the reason first."""
        aside = f"{folder}/{QUARANTINE}/{kept}"
        self._objects.write(f"{aside}.reason", f"{reason}\n".encode())
        return aside

    def _change(
        self, name: str, change: Callable[[Memory | None], Memory | None], *, ask: bool
    ) -> None:
        """Change the record of a partition by compare-and-swap."""
        version = self._versions.get(name) or (self._version(name) if ask else None)
        for _ in range(TRIES):
            before = version.memory if version else None
            new = change(before)
            if new is before or new is None:
                return
            etag = self._objects.swap(
                name, encode(new).encode(), expected=version.etag if version else None
            )
            if etag is not None:
                self._versions[name] = Version(etag=etag, memory=new)
                return
            version = self._version(name)
        raise BusyError(
            f"{self._objects.address.url(name)}: others change it all the time; run again when "
            "they have ended"
        )

    def _version(self, name: str, listed: ListedObject | None = None) -> Version | None:
        """The current `known.json`; not read again when it equals *listed*."""
        before = self._versions.get(name)
        if before is not None and listed is not None and before.etag == listed.etag:
            return before
        self._versions.pop(name, None)
        found = self._objects.read(name)
        if found is None:
            return None
        memory = decode(found.content, self._objects.address.url(name))
        version = Version(etag=found.etag, memory=memory)
        self._versions[name] = version
        return version


def _of_source(source: str) -> str:
    return f"raw/{name(source)}"


def _of_index(source: str) -> str:
    return f"{_of_source(source)}/{INDEX}"


def _of_partition(source: str, partition: str) -> str:
    return "/".join((_of_source(source), *map(name, partition.split("/"))))


def _of_raw(source: str, partition: str, raw: RawFile) -> str:
    return f"{_of_partition(source, partition)}/{hashed(raw.file, raw.sha256)}"
