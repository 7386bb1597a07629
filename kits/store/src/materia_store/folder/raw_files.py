"""Raw files and quarantine in a folder, with a `known.json` for each partition.

    raw/acme/2026-01/known.json                              the record of the partition 2026-01
    raw/acme/2026-01/prices.0123456789abcdef.zip             a raw file, with part of its SHA-256
    raw/acme/2026-01/quarantine/prices.123456789abcdef0.zip         a file that could not be used
    raw/acme/2026-01/quarantine/prices.123456789abcdef0.zip.reason  the reason

materia never changes a raw file. A file that the source has replaced stays as history.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from materia.data import Fetched, FetchResult, Known, Partition, RawFile, Refused
from materia.errors import SinkError
from materia.kit.files import sha256_of

from materia_store import atomic_files as durable
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

__all__ = ["RawFiles"]


class RawFiles:
    """The raw files of every source, under one folder."""

    def __init__(self, folder: Path, *, setting: str) -> None:
        """Keep the raw files under *folder*, which may be missing.

        *setting* is the key in materia.toml that names the folder, for messages.
        """
        self._folder = folder
        self._setting = setting
        # Cache of the `known.json` files by their state, since they are read many times.
        self._read_before: dict[Path, tuple[tuple[int, ...], Memory]] = {}

    def known(self, source: str) -> dict[str, Known]:
        """The records by partition key.

        The record of a file that was removed by hand has no ETag and no Last-Modified, so that the
        source fetches the file again.

        Raises:
            SinkError: a `known.json` is damaged.
        """
        found = {}
        with _naming(self._folder):
            for folder, _, names in os.walk(self._of_source(source)):
                memory = self._read(Path(folder) / KNOWN) if KNOWN in names else None
                if memory is None:
                    continue  # not of a partition, or removed since the listing
                known, raw = memory.known, memory.known.raw
                if raw is not None and hashed(raw.file, raw.sha256) not in names:
                    known = replace(known, etag=None, last_modified=None)
                found[memory.partition] = known
        return dict(sorted(found.items()))

    def record(self, source: str, partition: Partition, result: FetchResult) -> None:
        """Record the result of a fetch: first the file, then `known.json`.

        This moves the file from the place where the source put it.
        """
        folder = self._of_partition(source, partition.key)
        with _naming(folder):
            memory = self._read(folder / KNOWN)
            new = after(memory, source, partition, result, now=datetime.now(UTC))
            if new is memory:
                return
            folder.mkdir(parents=True, exist_ok=True)
            durable.sweep(folder)
            match result:
                case Fetched(raw=raw, path=path):
                    self._keep(path, self._path(source, partition.key, raw), raw)
                case Refused(reason=reason, path=Path() as path):
                    kept = hashed(partition.file, sha256_of(path))
                    durable.move(path, _quarantine(folder, kept, reason))
                case _:
                    pass
            _write(folder / KNOWN, new)

    def refuse(self, source: str, raw: RawFile, reason: str) -> None:
        """Move a file that could not be loaded to quarantine; the one before it is in use again.

        A file that is neither in use nor in the history has been refused already. A file that was
        removed by hand or damaged loses its record, so that the source fetches it again.
        """
        folder = self._of_partition(source, raw.partition)
        with _naming(folder):
            memory = self._read(folder / KNOWN)
            if memory is None or raw.sha256 not in {file.sha256 for file in memory.files}:
                return
            was_in_use = memory.known.raw is not None and memory.known.raw.sha256 == raw.sha256
            path = self._path(source, raw.partition, raw)
            memory = memory.without_file(raw)
            if not path.is_file() or sha256_of(path) != raw.sha256:
                if memory.known.raw is None:
                    (folder / KNOWN).unlink()
                else:
                    known = replace(memory.known, etag=None, last_modified=None)
                    _write(folder / KNOWN, replace(memory, known=known))
                path.unlink(missing_ok=True)
                return
            aside = _quarantine(folder, path.name, reason)
            if not aside.exists():
                durable.link(path, aside)
            if was_in_use:
                known = replace(memory.known, refused=reason, refused_sha256=raw.sha256)
                memory = replace(memory, known=known)
            _write(folder / KNOWN, memory)
            path.unlink()

    def find(self, source: str, partition: str, file: str, sha256: str) -> Path | None:
        """The path of a raw file, or None."""
        path = self._of_partition(source, partition) / hashed(file, sha256)
        return path if path.is_file() and not path.is_symlink() else None

    def _read(self, path: Path) -> Memory | None:
        """The content of a `known.json`, or None; every change replaces the file."""
        try:
            status = path.stat()
            state = (status.st_ino, status.st_mtime_ns, status.st_size)
            before = self._read_before.get(path)
            if before is None or before[0] != state:
                before = state, decode(path.read_bytes(), path)
                self._read_before[path] = before
        except FileNotFoundError:
            return None
        return before[1]

    def _keep(self, path: Path, target: Path, raw: RawFile) -> None:
        if not path.exists() and target.is_file():
            return  # moved here by a run that was killed before it wrote known.json
        size = path.stat().st_size
        if size != raw.size:
            raise SinkError(f"{path}: has {size} bytes, but {raw.size} were fetched; run again")
        durable.move(path, target)

    def _of_source(self, source: str) -> Path:
        return self._folder / name(source)

    def _of_partition(self, source: str, partition: str) -> Path:
        """The folder of a partition; it must be below the folder of raw files, links resolved.

        Raises:
            SinkError: a symbolic link leads out of that folder.
        """
        folder = self._of_source(source).joinpath(*map(name, partition.split("/")))
        if not folder.resolve().is_relative_to(self._folder.resolve()):
            raise SinkError(
                f"{folder}: a link leads out of {self._folder}; remove the link, and name the "
                f"folder of all raw files as {self._setting} in materia.toml"
            )
        return folder

    def _path(self, source: str, partition: str, raw: RawFile) -> Path:
        return self._of_partition(source, partition) / hashed(raw.file, raw.sha256)


def _quarantine(folder: Path, kept: str, reason: str) -> Path:
    """The place of a refused file in quarantine; this writes the reason first."""
    aside = folder / QUARANTINE
    aside.mkdir(exist_ok=True)
    durable.write(aside / f"{kept}.reason", f"{reason}\n")
    return aside / kept


def _write(path: Path, memory: Memory) -> None:
    durable.write(path, encode(memory))


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn an OSError into a SinkError with the path and the remedy."""
    try:
        yield
    except OSError as error:
        where = error.filename2 or error.filename or path  # the target of a copy
        raise SinkError(
            f"{where}: {error.strerror or error}; what was kept before is unharmed: "
            "correct that and run again"
        ) from error
