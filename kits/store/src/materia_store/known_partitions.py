"""Incremental fetch: the state of a partition in `known.json`, and the names of its raw files.

Pure functions without file access, so that every sink can use them, wherever it keeps raw files.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from urllib.parse import quote

from materia.data import Absent, Fetched, FetchResult, Known, Partition, RawFile, Refused, Unchanged
from materia.errors import SinkError
from materia.forms import SHA256

__all__ = [
    "KNOWN",
    "QUARANTINE",
    "Memory",
    "after",
    "decode",
    "encode",
    "hashed",
    "name",
]

KNOWN = "known.json"
QUARANTINE = "quarantine"
# A write waits for the disk or the store. An unchanged partition is not written again within this
# time: a mirror of 229 releases would wait 229 times in every run.
SAME_CHECK = timedelta(days=1)
MISSING = "the sink has no file of it"
# The fields of Known that a later version of materia added.
ADDED = tuple(one for one in fields(Known) if one.name in {"refused_sha256", "denied"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Contents of `known.json`: the state of a partition, and every file that was in use."""

    partition: str
    known: Known
    files: tuple[RawFile, ...] = ()  # in the order they came into use

    def with_file(self, raw: RawFile) -> Memory:
        """A copy with *raw* in use and at the end of the history."""
        files = tuple(file for file in self.files if file.sha256 != raw.sha256)
        return replace(self, known=replace(self.known, raw=raw), files=(*files, raw))

    def without_file(self, raw: RawFile) -> Memory:
        """A copy without *raw*; if *raw* was in use, the file before it is used again."""
        files = tuple(file for file in self.files if file.sha256 != raw.sha256)
        in_use = self.known.raw
        if in_use is not None and in_use.sha256 == raw.sha256:
            in_use = files[-1] if files else None
        return replace(self, known=replace(self.known, raw=in_use), files=files)


def after(
    memory: Memory | None,
    source: str,
    partition: Partition,
    result: FetchResult,
    *,
    now: datetime,
) -> Memory:
    """The state of *partition* after *result*; *memory* itself when there is nothing to write.

    Raises:
        SinkError: the source reports it unchanged, but the sink has no file of it.
    """
    known = Known(url=partition.url, checked_at=now, raw=memory.known.raw if memory else None)
    so_far = memory or Memory(partition=partition.key, known=known)
    match result:
        case Fetched(raw=raw):
            known = replace(known, etag=raw.etag, last_modified=raw.last_modified)
            return replace(so_far, known=known).with_file(raw)
        case Unchanged(etag=etag, last_modified=last_modified):
            if memory is None:
                raise SinkError(
                    f"{source}: the source reports {partition.key} unchanged, but {MISSING}"
                )
            known = replace(
                memory.known,
                url=partition.url,
                checked_at=now,
                etag=etag,
                last_modified=last_modified,
                denied=False,
            )
        case Absent(removed=False) if memory is not None and memory.known.raw is not None:
            # Validators belong to the address that they came from, so keep that address, too.
            known = replace(memory.known, checked_at=now, denied=True)
        case Absent():
            known = replace(known, raw=None)
        case Refused(reason=reason, etag=etag, last_modified=last_modified, sha256=sha256):
            known = replace(
                known,
                etag=etag,
                last_modified=last_modified,
                refused=reason,
                refused_sha256=sha256,
            )
    if memory is not None and isinstance(result, Unchanged | Absent):
        same = replace(known, checked_at=memory.known.checked_at) == memory.known
        if same and now - memory.known.checked_at < SAME_CHECK:
            return memory
    return replace(so_far, known=known)


def encode(memory: Memory) -> str:
    """The text of `known.json`."""
    values = {"partition": memory.partition, **asdict(memory.known)}
    values["in_use"] = memory.known.raw.sha256 if memory.known.raw else None
    del values["raw"]
    for field in ADDED:  # an older materia takes an unknown key for damage
        if values[field.name] == field.default:
            del values[field.name]
    values["files"] = [asdict(file) for file in memory.files]
    return json.dumps(values, default=datetime.isoformat, indent=1) + "\n"


def decode(text: bytes, where: object) -> Memory:
    """Read the text of `known.json`; messages name it *where*.

    Raises:
        SinkError: the text is damaged.
    """
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
        for file in files:
            _refuse_odd(file, partition)
        # Ignore keys that a later version adds, so that two versions can share a sink.
        words = {one.name for one in fields(Known)}
        known = Known(raw=raw, **{word: value for word, value in values.items() if word in words})
        return Memory(partition=partition, known=known, files=files)
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise SinkError(
            f"{where}: is damaged ({type(error).__name__}: {error}); delete it, and the next run "
            "will fetch the partition again"
        ) from error


def _refuse_odd(file: RawFile, partition: object) -> None:
    """Raise ValueError when no safe path can be made of *file*."""
    if not SHA256.fits(file.sha256):
        raise ValueError(f"{file.sha256!r} is not {SHA256.what}")
    name(file.file)  # raises TypeError when it is not a text
    if file.partition != partition:
        raise ValueError(f"{file.partition!r} is not its partition")


def name(text: str) -> str:
    """*text* as a safe file name, with percent-encoding: no slash, and not dots alone."""
    quoted = quote(text, safe=" ")
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E") or "%"


def hashed(file: str, sha256: str) -> str:
    """Name of a kept raw file: with the beginning of its hash, so that a new file has a new name.

    Raises:
        SinkError: *sha256* is not a hash, so it is not safe in a path.
    """
    if not SHA256.fits(sha256):
        raise SinkError(f"{file!r}: {sha256[:80]!r} is not a SHA-256 in 64 hex digits; run again")
    plain = PurePosixPath(name(file))
    return f"{plain.stem}.{sha256[:16]}{plain.suffix}"
