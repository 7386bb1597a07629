"""Messages between a worker and the sink at home: requests and answers as JSON lines.

A sink with a local store stays on the runner's machine. The worker writes requests to its standard
output, among its events, and the runner writes the answers to the worker's standard input. Files
are copied separately and hashed on both sides. Paths in these messages are absolute paths on the
worker.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from materia.data import FetchResult, Known, Partition, PublishRequest, RawFile, Table
from materia.forms import FileName, PartitionKey, Range, Sha256, SourceName

from materia_runner import codec
from materia_runner.codec import MalformedError


@dataclass(frozen=True, slots=True, kw_only=True)
class AtHome:
    """State of the sink at home, which the worker gets when a stage begins.

    Attributes:
        known: What the sink remembers of each partition, by the name of the source.
        kept: Cache folder on the worker for raw files, named by their SHA-256. It outlives the
            stage, so that a transform need not copy the files of an extract from home again.
    """

    known: Mapping[str, Mapping[str, Known]]
    kept: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Record a fetch; `result` has the path of its file, if any, and `sha256` the file's hash."""

    source: SourceName
    partition: Partition
    result: FetchResult
    sha256: Sha256 | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Put a kept file into quarantine."""

    source: SourceName
    raw: RawFile
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskKnown:
    """Ask for the known partitions; the answer is that of `Sink.known`."""

    source: SourceName


@dataclass(frozen=True, slots=True, kw_only=True)
class AskRaw:
    """Ask for a raw file; the answer is its path on the worker, or None."""

    source: SourceName
    partition: PartitionKey
    file: FileName
    sha256: Sha256


@dataclass(frozen=True, slots=True)
class AskFingerprint:
    """Ask for the published fingerprint; the answer is that of `Sink.fingerprint`."""


@dataclass(frozen=True, slots=True)
class AskPublished:
    """Ask for the published database; the answer is its path on the worker, or None."""


@dataclass(frozen=True, slots=True)
class CheckOut:
    """Check out a working copy; the answer is its name and the path of the published database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Publish the tables; the answer is the tables and the path of the database at home."""

    request: PublishRequest
    sha256: Sha256


Message = Record | Refuse | AskKnown | AskRaw | AskFingerprint | AskPublished | CheckOut | Publish
# The type of the answer to each message.
ANSWERS: Mapping[type[Message], Any] = {
    Record: None,
    Refuse: None,
    AskKnown: Mapping[PartitionKey, Known],
    AskRaw: Path | None,
    AskFingerprint: str | None,
    AskPublished: Path | None,
    CheckOut: tuple[str, Path | None],
    Publish: tuple[tuple[Table, ...], Path | None],
}
BEGINNING = '{"relay": '  # as `encode` writes it, and no event does
# An answer may have thousands of known partitions; a request is short.
LONGEST_ANSWER = 1 << 28


def encode(number: int, value: object) -> str:
    """A message, or the answer with the same number, as one line without a line end."""
    return json.dumps({"relay": number, "value": codec.encode(value)})


def decode(line: str) -> tuple[int, Message] | None:
    """Decode the number and value of a message; None for a line that is not a message.

    Raises:
        MalformedError: the line starts like a message, but cannot be decoded.
    """
    if not line.startswith(BEGINNING):
        return None
    number, value = _numbered(line, longest=codec.LONGEST_LINE)
    message: Message = codec.decode(Message, value)
    return number, message


def decode_answer(line: str, asked: Mapping[int, Message]) -> tuple[int, Any] | None:
    """Decode the answer to one of the messages *asked*: number and value; None for other lines.

    Raises:
        MalformedError: the line starts like an answer, but belongs to none of the messages.
    """
    if not line.startswith(BEGINNING):
        return None
    number, value = _numbered(line, longest=LONGEST_ANSWER)
    if number not in asked:
        raise MalformedError(f"an answer came to number {number}, which is not a message")
    return number, codec.decode(ANSWERS[type(asked[number])], value)


def _numbered(line: str, *, longest: int) -> tuple[int, object]:
    values = codec.parse(line, longest=longest)
    if not isinstance(values, dict) or values.keys() != {"relay", "value"}:
        raise MalformedError("the message has no number and value")
    return codec.decode(Annotated[int, Range(0)], values["relay"]), values["value"]
