"""What a worker and the sink at home say to one another, as values and as JSON.

A sink that keeps its store on the runner's machine stays there. The worker asks it by lines on its
standard output, among its events, and home answers by lines on the worker's standard input. Files
go beside that and are hashed on both sides. Paths in these messages are the worker's, absolute.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from materia.model import (
    Absent,
    Fetched,
    FetchResult,
    Known,
    Partition,
    PublishRequest,
    RawFile,
    Refused,
    Table,
    Unchanged,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtHome:
    """What a worker is told of the sink at home when a stage begins.

    Attributes:
        known: What it remembers of each partition, by the name of the source.
        kept: A folder on the worker for raw files that home has too, named by their SHA-256. It
            outlives the stage: what an extract left there, a transform need not get from home.
    """

    known: Mapping[str, Mapping[str, Known]]
    kept: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Keep this. `result` has the path of the file, if any; `sha256` is its hash."""

    source: str
    partition: Partition
    result: FetchResult
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Put this kept file aside."""

    source: str
    raw: RawFile
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskKnown:
    """What is known now; answered as `Sink.known` does."""

    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskRaw:
    """Send this raw file; answered by its path, or None."""

    source: str
    partition: str
    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class AskStamp:
    """The stamp of what is published; answered as `Sink.stamp` does."""


@dataclass(frozen=True, slots=True)
class AskPublished:
    """Send the published database; answered by its path, or None."""


@dataclass(frozen=True, slots=True)
class CheckOut:
    """Take the working copy; answered by its name and the path of the published database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Publish this; answered by the tables and where the database is at home."""

    request: PublishRequest
    sha256: str


Message = Record | Refuse | AskKnown | AskRaw | AskStamp | AskPublished | CheckOut | Publish
_TYPES: Mapping[str, type[Any]] = {
    one.__name__: one
    for one in (
        *(AtHome, Record, Refuse, AskKnown, AskRaw, AskStamp, AskPublished, CheckOut, Publish),
        *(Absent, Fetched, Known, Partition, PublishRequest, RawFile, Refused, Table, Unchanged),
    )
}


def plain(value: object) -> object:
    """A value of the kinds above, as JSON has it."""
    if is_dataclass(value):
        parts = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        return {"type": type(value).__name__, **parts}
    if isinstance(value, datetime):
        return {"type": "datetime", "text": value.isoformat()}
    if isinstance(value, Path):
        return {"type": "path", "text": str(value)}
    if isinstance(value, Mapping):
        return {"type": "mapping", "items": [[key, plain(item)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def whole(value: object) -> Any:
    """What `plain` was given; a list comes back as a tuple."""
    if isinstance(value, list):
        return tuple(whole(item) for item in value)
    if not isinstance(value, dict):
        return value
    match value["type"]:
        case "datetime":
            return datetime.fromisoformat(value["text"])
        case "path":
            return Path(value["text"])
        case "mapping":
            return {key: whole(item) for key, item in value["items"]}
    parts = {name: whole(part) for name, part in value.items() if name != "type"}
    return _TYPES[value["type"]](**parts)


def encode(number: int, value: object) -> str:
    """A message, or its answer under the same number, as one line without its end."""
    return json.dumps({"relay": number, "value": plain(value)})


def decode(line: str) -> tuple[int, Any] | None:
    """Number and value of a message or an answer; None for a line that is neither."""
    if not line.startswith('{"relay": '):  # as `encode` writes it, and no event does
        return None
    values = json.loads(line)
    return values["relay"], whole(values["value"])
