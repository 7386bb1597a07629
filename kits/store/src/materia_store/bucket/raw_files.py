"""The raw files in the bucket, and what is known of each partition.

    raw/acme/partitions.json                                 see `partition_index`
    raw/acme/2026-01/known.json                              what is known of the partition 2026-01
    raw/acme/2026-01/prices.0123456789abcdef.zip             a raw file, and how its SHA-256 begins
    raw/acme/2026-01/quarantine/prices.123456789abcdef0.zip         a file that could not be used
    raw/acme/2026-01/quarantine/prices.123456789abcdef0.zip.reason  and why

These are the names and words of the sink `duckdb`: a folder of its raw files can be copied here.
Raw files are never changed, nor removed. `known.json` is swapped on its ETag, so that of two
extracts at once neither loses what the other wrote.
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

from materia_store.bucket.cache import Cache, sha256_of
from materia_store.bucket.objects import Found, Objects
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

READERS = 16
TRIES = 20  # so many others were faster, one after the other
# One name is not written at every file of an extract; a run that is killed within this time is
# only less sure of its last ones.
INDEX_EVERY = timedelta(seconds=2)
GONE = "it was removed from the bucket, or damaged there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A `known.json` as it was read or written last."""

    etag: str
    memory: Memory


class RawFiles:
    """The raw files of every source."""

    def __init__(self, objects: Objects, cache: Cache, *, published: str) -> None:
        """Keep them among *objects*; *cache* has copies; *published* names what is published."""
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
        """What was recorded, by partition key; only what has changed since is read again.

        A file in use that was removed by hand is reported without ETag and Last-Modified: when the
        partition is asked for again, the file comes again. What was recorded and is not listed is
        asked for by its name; when it is not there, it is not reported, and `miss_nothing` raises.

        Raises:
            SinkError: a `known.json` is damaged, or the store cannot be asked.
        """
        listed = self._objects.listed(_of_source(source))
        indexed = read_index(self._objects, _of_index(source))
        # Of what this process recorded, no listing and no index need know yet.
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
        self, source: str, word: str, memory: Memory, listed: Mapping[str, Found]
    ) -> tuple[str, Known]:
        if f"{_of_partition(source, memory.partition)}/{KNOWN}" != word:
            raise SinkError(
                f"{self._objects.address.url(word)}: is of the partition {memory.partition!r}, "
                "and lies elsewhere; delete it, and run again"
            )
        known = memory.known
        if known.raw is not None:
            file = _of_raw(source, memory.partition, known.raw)
            if file not in listed and self._objects.ask(file) is None:
                known = replace(known, etag=None, last_modified=None)
        return memory.partition, known

    def _index(self, source: str) -> None:
        """Write down what is recorded and not in the index."""
        if self._recorded[source] <= self._indexed.get(source, frozenset()):
            return
        self._indexed[source] = add_to_index(
            self._objects, _of_index(source), self._recorded[source]
        )
        self._indexed_at = time.monotonic()

    def miss_nothing(self) -> None:
        """See that all that was recorded was there when `known` was called last.

        Raises:
            SinkError: something is not, and tables built without it would be short of it.
        """
        url = self._objects.address.url
        for source, lost in self._lost.items():
            for partition, word in lost.items():
                more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
                raise SinkError(
                    f"{url(word)}: is not there{more}, though {partition} was recorded, and "
                    "materia never removes what it recorded; nothing is published. Run again: the "
                    "extract fetches it once more. If it was removed on purpose, delete "
                    f"{url(_of_index(source))} and {self._published} too"
                )

    def record(self, source: str, partition: Partition, result: FetchResult) -> None:
        """Keep what a fetch gave: the file first, then the word of it.

        The file is moved to the cache from where it was fetched to.
        """
        now = datetime.now(UTC)
        # That somebody else has recorded it since it was listed is found out by the swap.
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
        """Put a copy of a kept file aside that could not be loaded; the one before it is in use.

        A file that is not in use and not in the history is refused already. One that was removed by
        hand, or damaged since it was kept, is forgotten, so that it comes again.
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
        self._versions.pop(word, None)  # another run may have put it aside already
        self._change(word, change, ask=True)

    def find(self, source: str, partition: str, file: str, sha256: str) -> Path | None:
        """A copy of a kept file, or None.

        Raises:
            SinkError: it is damaged in the bucket, or the store cannot be asked.
        """
        return self._cache.fetch(
            f"{_of_partition(source, partition)}/{hashed(file, sha256)}", sha256
        )

    def _keep(self, source: str, partition: Partition, result: FetchResult) -> Callable[[], None]:
        """Upload the file that came, if one did; what is to be done when its word is written."""
        match result:
            case Fetched(raw=raw, path=path):
                file = _of_raw(source, partition.key, raw)
                if not path.exists():
                    there = self._objects.ask(file)
                    if there is not None and there.size == raw.size:
                        return lambda: None  # kept by a run that was killed before its last step
                    raise SinkError(f"{path}: is not there any more; run again")
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
        """Name of a file in quarantine; the reason is written first."""
        aside = f"{folder}/{QUARANTINE}/{kept}"
        self._objects.write(f"{aside}.reason", f"{reason}\n".encode())
        return aside

    def _change(
        self, name: str, change: Callable[[Memory | None], Memory | None], *, ask: bool
    ) -> None:
        """Change what is known of a partition, from what is known now."""
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

    def _version(self, name: str, listed: Found | None = None) -> Version | None:
        """A `known.json` as it is now; not read again when it is still as *listed*."""
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
