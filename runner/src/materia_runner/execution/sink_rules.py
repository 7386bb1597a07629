"""What the worker of a stage may ask of the sink at home: of its own stage, source and partitions.

The form of every message was checked when it was decoded. Here is checked that it speaks of what
this stage of this run is for, and that its parts do not contradict one another.
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
    """Return when the worker that was asked *request* may say that.

    Args:
        message: What it says.
        request: What it was asked to do.
        partitions: Keys of those that the source has, as home sees it; None when only the worker
            can see that.

    Raises:
        MalformedError: it may not.
    """
    if type(message) not in STAGES.get(request.stage, ()):
        what = type(message).__name__
        raise MalformedError(f"{what} is no message of the stage {request.stage}")
    match message:
        case AskKnown(source=source):
            _refuse_source(source, {request.source, request.kept_as})
        case Record(source=source):
            _refuse_source(message.source, {request.kept_as})
            if partitions is not None and message.partition.key not in partitions:
                raise MalformedError(f"{message.partition.key!r} is no partition of {source!r}")
            _refuse_contradiction(message)
        case AskRaw(source=source) | Refuse(source=source):
            _refuse_source(source, {request.kept_as})
        case Publish(request=publishing):
            if publishing.run != request.run:
                raise MalformedError("it publishes for another run")


def _refuse_source(source: str, own: set[str]) -> None:
    if source not in own:
        raise MalformedError(f"{source!r} is not the source of this run")


def _refuse_contradiction(message: Record) -> None:
    """A file comes with its hash, and is the one of the partition that it is recorded under."""
    match message.result:
        case Fetched(raw=raw):
            _refuse_other(raw, message.partition)
            if message.sha256 != raw.sha256:
                raise MalformedError("the hash of the file is not the one it is recorded with")
        case Refused(path=path) as result:
            if (path is None) != (message.sha256 is None):
                raise MalformedError("a refused file and its hash come together")
            if path is not None and result.sha256 not in {None, message.sha256}:
                raise MalformedError("the hash of the file is not the one it is recorded with")
        case Unchanged() | Absent():
            if message.sha256 is not None:
                raise MalformedError("there is a hash, and no file")


def _refuse_other(raw: RawFile, partition: Partition) -> None:
    if (raw.partition, raw.file) != (partition.key, partition.file):
        raise MalformedError(f"{_name(raw)} is not the file of {partition.key!r}")


def _name(raw: RawFile) -> str:
    return f"{raw.file!r} of {raw.partition!r}"
