"""What a worker and the sink at home say to one another, as values and as JSON.

A sink that keeps its store on the runner's machine stays there. The worker asks it by lines on its
standard output, among its events, and home answers by lines on the worker's standard input. Files
go beside that and are hashed on both sides. Paths in these messages are the worker's, absolute.
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

    source: SourceName
    partition: Partition
    result: FetchResult
    sha256: Sha256 | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Put this kept file aside."""

    source: SourceName
    raw: RawFile
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskKnown:
    """What is known now; answered as `Sink.known` does."""

    source: SourceName


@dataclass(frozen=True, slots=True, kw_only=True)
class AskRaw:
    """Send this raw file; answered by its path, or None."""

    source: SourceName
    partition: PartitionKey
    file: FileName
    sha256: Sha256


@dataclass(frozen=True, slots=True)
class AskFingerprint:
    """The fingerprint of what is published; answered as `Sink.fingerprint` does."""


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
    sha256: Sha256


Message = Record | Refuse | AskKnown | AskRaw | AskFingerprint | AskPublished | CheckOut | Publish
# What each is answered by.
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
# What home knows of thousands of partitions is one answer; what a worker asks is short.
LONGEST_ANSWER = 1 << 28


def encode(number: int, value: object) -> str:
    """A message, or its answer under the same number, as one line without its end."""
    return json.dumps({"relay": number, "value": codec.encode(value)})


def decode(line: str) -> tuple[int, Message] | None:
    """Number and value of a message; None for a line that is none.

    Raises:
        MalformedError: it begins as a message, and is none that home understands.
    """
    if not line.startswith(BEGINNING):
        return None
    number, value = _numbered(line, longest=codec.LONGEST_LINE)
    message: Message = codec.decode(Message, value)
    return number, message


def decode_answer(line: str, asked: Mapping[int, Message]) -> tuple[int, Any] | None:
    """Number and value of the answer to one of the messages *asked*; None for any other line.

    Raises:
        MalformedError: it begins as an answer, and answers none of them.
    """
    if not line.startswith(BEGINNING):
        return None
    number, value = _numbered(line, longest=LONGEST_ANSWER)
    if number not in asked:
        raise MalformedError(f"number {number} was not asked")
    return number, codec.decode(ANSWERS[type(asked[number])], value)


def _numbered(line: str, *, longest: int) -> tuple[int, object]:
    values = codec.parse(line, longest=longest)
    if not isinstance(values, dict) or values.keys() != {"relay", "value"}:
        raise MalformedError("it has no number and value")
    return codec.decode(Annotated[int, Range(0)], values["relay"]), values["value"]
