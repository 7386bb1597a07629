"""The folder of raw files, and what is known of each partition.

    raw/acme/2026-01/known.json                              what is known of the partition 2026-01
    raw/acme/2026-01/prices.0123456789abcdef.zip             a raw file, and how its SHA-256 begins
    raw/acme/2026-01/quarantine/prices.123456789abcdef0.zip         a file that could not be used
    raw/acme/2026-01/quarantine/prices.123456789abcdef0.zip.reason  and why

Raw files are never changed. Those that were replaced at their source stay: they are its history.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from materia.errors import SinkError
from materia.model import (
    Absent,
    Fetched,
    FetchResult,
    Known,
    Partition,
    RawFile,
    Refused,
    Unchanged,
)

from materia_duckdb import durable

KNOWN = "known.json"
# Every word written down is waited for until the disk has it. That nothing has changed is not
# written again within this time: a mirror of 229 releases would be 229 such waits at every run.
SAME_CHECK = timedelta(days=1)
QUARANTINE = "quarantine"
MISSING = "nothing of it is kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What `known.json` holds: the partition as it is known, and every file that was in use."""

    partition: str
    known: Known
    files: tuple[RawFile, ...] = ()  # in the order they came into use

    def with_file(self, raw: RawFile) -> Memory:
        """With *raw* in use, and at the end of the history."""
        files = tuple(file for file in self.files if file.sha256 != raw.sha256)
        return replace(self, known=replace(self.known, raw=raw), files=(*files, raw))

    def without_file(self, raw: RawFile) -> Memory:
        """Without *raw*; when it was in use, the one before it is again."""
        files = tuple(file for file in self.files if file.sha256 != raw.sha256)
        in_use = self.known.raw
        if in_use is not None and in_use.sha256 == raw.sha256:
            in_use = files[-1] if files else None
        return replace(self, known=replace(self.known, raw=in_use), files=files)


class RawFiles:
    """The raw files of every source, under one folder."""

    def __init__(self, folder: Path) -> None:
        """Keep them under *folder*, which need not exist yet."""
        self._folder = folder

    def known(self, source: str) -> dict[str, Known]:
        """What was recorded, by partition key.

        A file in use that was removed by hand is reported without ETag and Last-Modified: when the
        partition is asked for again, the file comes again.

        Raises:
            SinkError: a `known.json` is damaged.
        """
        found = {}
        with _naming(self._folder):
            for path in sorted(self._of_source(source).rglob(KNOWN)):
                memory = _read(path)
                if memory is None:
                    continue  # removed since it was listed
                known, raw = memory.known, memory.known.raw
                if raw is not None and not self._path(source, memory.partition, raw).is_file():
                    known = replace(known, etag=None, last_modified=None)
                found[memory.partition] = known
        return dict(sorted(found.items()))

    def record(self, source: str, partition: Partition, result: FetchResult) -> None:
        """Keep what a fetch gave: the file first, then the word of it.

        The file is moved here from where it was fetched to.
        """
        folder = self._of_partition(source, partition.key)
        with _naming(folder):
            folder.mkdir(parents=True, exist_ok=True)
            durable.sweep(folder)
            known = Known(url=partition.url, checked_at=datetime.now(UTC))
            memory = _read(folder / KNOWN)
            before = memory.known if memory else None
            memory = memory or Memory(partition=partition.key, known=known)
            known = replace(known, raw=memory.known.raw)
            match result:
                case Fetched(raw=raw, path=path):
                    self._keep(path, self._path(source, partition.key, raw), raw)
                    known = replace(known, etag=raw.etag, last_modified=raw.last_modified)
                    memory = replace(memory, known=known).with_file(raw)
                case Unchanged(etag=etag, last_modified=last_modified):
                    if before is None:
                        raise SinkError(
                            f"{source}: {partition.key} is said to be unchanged, but {MISSING}"
                        )
                    known = replace(
                        known, etag=etag, last_modified=last_modified, refused=before.refused
                    )
                    same = replace(known, checked_at=before.checked_at) == before
                    if same and known.checked_at - before.checked_at < SAME_CHECK:
                        return
                    memory = replace(memory, known=known)
                case Absent():
                    memory = replace(memory, known=replace(known, raw=None))
                case Refused(
                    reason=reason, etag=etag, last_modified=last_modified, path=refused_path
                ):
                    if refused_path is not None:
                        name = _hashed(partition.file, _sha256(refused_path))
                        durable.move(refused_path, _quarantine(folder, name, reason))
                    known = replace(known, etag=etag, last_modified=last_modified, refused=reason)
                    memory = replace(memory, known=known)
            _write(folder / KNOWN, memory)

    def refuse(self, source: str, raw: RawFile, reason: str) -> None:
        """Put a kept file aside that could not be loaded; the one before it is in use again.

        A file that is not in use and not in the history is refused already. One that was removed by
        hand, or damaged since it was kept, is forgotten, so that it comes again.
        """
        folder = self._of_partition(source, raw.partition)
        with _naming(folder):
            memory = _read(folder / KNOWN)
            if memory is None or raw.sha256 not in {file.sha256 for file in memory.files}:
                return
            was_in_use = memory.known.raw is not None and memory.known.raw.sha256 == raw.sha256
            path = self._path(source, raw.partition, raw)
            memory = memory.without_file(raw)
            if not path.is_file() or _sha256(path) != raw.sha256:
                if memory.known.raw is None:
                    (folder / KNOWN).unlink()
                else:
                    known = replace(memory.known, etag=None, last_modified=None)
                    _write(folder / KNOWN, replace(memory, known=known))
                path.unlink(missing_ok=True)
                return
            aside = _quarantine(folder, path.name, reason)
            if not aside.exists():
                _link(path, aside)
            if was_in_use:
                memory = replace(memory, known=replace(memory.known, refused=reason))
            _write(folder / KNOWN, memory)
            path.unlink()

    def find(self, source: str, partition: str, file: str, sha256: str) -> Path | None:
        """A kept file, or None."""
        path = self._of_partition(source, partition) / _hashed(file, sha256)
        return path if path.is_file() else None

    def _keep(self, path: Path, target: Path, raw: RawFile) -> None:
        if not path.exists() and target.is_file():
            return  # moved here by a run that was killed before it wrote its word
        size = path.stat().st_size
        if size != raw.size:
            raise SinkError(f"{path}: has {size} bytes, but {raw.size} were fetched; run again")
        durable.move(path, target)

    def _of_source(self, source: str) -> Path:
        return self._folder / _name(source)

    def _of_partition(self, source: str, partition: str) -> Path:
        return self._of_source(source).joinpath(*map(_name, partition.split("/")))

    def _path(self, source: str, partition: str, raw: RawFile) -> Path:
        return self._of_partition(source, partition) / _hashed(raw.file, raw.sha256)


def _name(text: str) -> str:
    """*text* as the name of one file or folder, whatever it holds."""
    name = quote(text, safe=" ")
    return name if name.strip(".") else name.replace(".", "%2E") or "%"


def _hashed(file: str, sha256: str) -> str:
    name = Path(_name(file))
    return f"{name.stem}.{sha256[:16]}{name.suffix}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _quarantine(folder: Path, name: str, reason: str) -> Path:
    """Where a refused file goes; the reason is written first."""
    aside = folder / QUARANTINE
    aside.mkdir(exist_ok=True)
    durable.write(aside / f"{name}.reason", f"{reason}\n")
    return aside / name


def _link(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, target)
        durable.sync(target)
    durable.sync(target.parent)


def _read(path: Path) -> Memory | None:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        values = json.loads(text)
        files = tuple(
            RawFile(**{**file, "fetched_at": datetime.fromisoformat(file["fetched_at"])})
            for file in values.pop("files")
        )
        in_use = values.pop("in_use")
        raw = None if in_use is None else next(file for file in files if file.sha256 == in_use)
        values["checked_at"] = datetime.fromisoformat(values["checked_at"])
        partition = values.pop("partition")
        return Memory(partition=partition, known=Known(raw=raw, **values), files=files)
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise SinkError(
            f"{path}: is damaged ({type(error).__name__}: {error}); delete it, and the next run "
            "fetches the partition again"
        ) from error


def _write(path: Path, memory: Memory) -> None:
    values = {"partition": memory.partition, **asdict(memory.known)}
    values["in_use"] = memory.known.raw.sha256 if memory.known.raw else None
    del values["raw"]
    values["files"] = [asdict(file) for file in memory.files]
    durable.write(path, json.dumps(values, default=datetime.isoformat, indent=1) + "\n")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn an error of the system into one that says where and what to do."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise SinkError(
            f"{where}: {error.strerror or error}; what was kept before is unharmed: "
            "see to it and run again"
        ) from error
