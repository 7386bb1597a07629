"""Access rules for a worker that uses the sink at home: only its own stage, source and partitions.

Decoding has already checked the form of every message. This module checks that a message belongs to
this stage of this run, and that its parts do not contradict one another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from materia.data import Absent, Fetched, Partition, RawFile, Refused, Unchanged

from materia_runner.codec import MalformedError
from materia_runner.messages.sink_messages import (
    AskFingerprint,
    AskKnown,
    AskPublished,
    AskRaw,
    CheckOut,
    Message,
    Publish,
    Record,
    Refuse,
)
from materia_runner.messages.stage_request import WorkerRequest

STAGES: Mapping[str, tuple[type[Message], ...]] = {
    "extract": (Record, AskKnown),
    "transform": (Refuse, AskKnown, AskRaw, AskFingerprint, AskPublished, CheckOut, Publish),
}


def refuse_foreign(
    message: Message, request: WorkerRequest, partitions: Collection[str] | None
) -> None:
    """Refuse a message that the worker of *request* may not send.

    Args:
        message: The message.
        request: The request that the worker runs.
        partitions: Keys of the source's partitions, as home sees them; None when only the worker
            can list them.

    Raises:
        MalformedError: the worker may not send this message.
    """
    if type(message) not in STAGES.get(request.stage, ()):
        what = type(message).__name__
        raise MalformedError(f"{what} is not allowed in the stage {request.stage}")
    match message:
        case AskKnown(source=source):
            _refuse_source(source, {request.source, request.kept_as})
        case Record(source=source):
            _refuse_source(message.source, {request.kept_as})
            if partitions is not None and message.partition.key not in partitions:
                raise MalformedError(f"{message.partition.key!r} is not a partition of {source!r}")
            _refuse_contradiction(message)
        case AskRaw(source=source) | Refuse(source=source):
            _refuse_source(source, {request.kept_as})
        case Publish(request=publishing):
            if publishing.run != request.run:
                raise MalformedError("the publish is for another run")


def _refuse_source(source: str, own: set[str]) -> None:
    if source not in own:
        raise MalformedError(f"{source!r} is not the source of this run")


def _refuse_contradiction(message: Record) -> None:
    """Check that a file comes with its hash, and belongs to the partition of the record."""
    match message.result:
        case Fetched(raw=raw):
            _refuse_other(raw, message.partition)
            if message.sha256 != raw.sha256:
                raise MalformedError("the hash of the file is not the one it is recorded with")
        case Refused(path=path) as result:
            if (path is None) != (message.sha256 is None):
                raise MalformedError("a refused file needs a hash, and a hash needs a file")
            if path is not None and result.sha256 not in {None, message.sha256}:
                raise MalformedError("the hash of the file is not the one it is recorded with")
        case Unchanged() | Absent():
            if message.sha256 is not None:
                raise MalformedError("there is a hash, but no file")


def _refuse_other(raw: RawFile, partition: Partition) -> None:
    if (raw.partition, raw.file) != (partition.key, partition.file):
        raise MalformedError(f"{_name(raw)} is not the file of {partition.key!r}")


def _name(raw: RawFile) -> str:
    return f"{raw.file!r} of {raw.partition!r}"
