"""What is remembered of a partition, in `known.json`, and the names that its files have.

Nothing here reads or writes: a sink that keeps raw files elsewhere remembers in the same words.
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
# Every word written down is waited for. That nothing has changed is not written again within this
# time: a mirror of 229 releases would be 229 such waits at every run.
SAME_CHECK = timedelta(days=1)
MISSING = "nothing of it is kept"
# What is known of a partition since a later version.
ADDED = tuple(one for one in fields(Known) if one.name in {"refused_sha256", "denied"})


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


def after(
    memory: Memory | None,
    source: str,
    partition: Partition,
    result: FetchResult,
    *,
    now: datetime,
) -> Memory:
    """What is known of *partition* once *result* is; *memory* itself when that need not be written.

    Raises:
        SinkError: it is said to be unchanged, but was never kept.
    """
    known = Known(url=partition.url, checked_at=now, raw=memory.known.raw if memory else None)
    so_far = memory or Memory(partition=partition.key, known=known)
    match result:
        case Fetched(raw=raw):
            known = replace(known, etag=raw.etag, last_modified=raw.last_modified)
            return replace(so_far, known=known).with_file(raw)
        case Unchanged(etag=etag, last_modified=last_modified):
            if memory is None:
                raise SinkError(f"{source}: {partition.key} is said to be unchanged, but {MISSING}")
            known = replace(
                memory.known,
                url=partition.url,
                checked_at=now,
                etag=etag,
                last_modified=last_modified,
                denied=False,
            )
        case Absent(removed=False) if memory is not None and memory.known.raw is not None:
            # Validators belong to the address that was asked for them, so that stays, too.
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
    for field in ADDED:  # an older materia takes a word it does not know for damage
        if values[field.name] == field.default:
            del values[field.name]
    values["files"] = [asdict(file) for file in memory.files]
    return json.dumps(values, default=datetime.isoformat, indent=1) + "\n"


def decode(text: bytes, where: object) -> Memory:
    """What the text of `known.json` says; *where* it was read stands in messages.

    Raises:
        SinkError: it is damaged.
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
        # What a later version adds is left aside, so that two versions can share a sink.
        words = {one.name for one in fields(Known)}
        known = Known(raw=raw, **{word: value for word, value in values.items() if word in words})
        return Memory(partition=partition, known=known, files=files)
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise SinkError(
            f"{where}: is damaged ({type(error).__name__}: {error}); delete it, and the next run "
            "fetches the partition again"
        ) from error


def _refuse_odd(file: RawFile, partition: object) -> None:
    """Raise ValueError when no path can be made of *file*: who wrote that is not believed."""
    if not SHA256.fits(file.sha256):
        raise ValueError(f"{file.sha256!r} is not {SHA256.what}")
    name(file.file)  # a TypeError, when it is no text
    if file.partition != partition:
        raise ValueError(f"{file.partition!r} is not its partition")


def name(text: str) -> str:
    """*text* as the name of one file or folder, whatever it holds."""
    quoted = quote(text, safe=" ")
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E") or "%"


def hashed(file: str, sha256: str) -> str:
    """Name of a kept file: with the beginning of its hash, so that it is never changed.

    Raises:
        SinkError: the hash is none, and could lead elsewhere as a part of a path.
    """
    if not SHA256.fits(sha256):
        raise SinkError(f"{file!r}: {sha256[:80]!r} is not a SHA-256 in 64 hex digits; run again")
    plain = PurePosixPath(name(file))
    return f"{plain.stem}.{sha256[:16]}{plain.suffix}"
