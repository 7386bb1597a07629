"""Access rules for a worker that uses the sink at home: only its own stage, sources and partitions.

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
from materia_runner.worker.ownership import standing

STAGES: Mapping[str, tuple[type[Message], ...]] = {
    "extract": (Record, AskKnown),
    "transform": (Refuse, AskKnown, AskRaw, AskFingerprint, AskPublished, CheckOut, Publish),
}


def refuse_foreign(
    message: Message,
    request: WorkerRequest,
    partitions: Mapping[str, Collection[str] | None],
) -> None:
    """Refuse a message that the worker of *request* may not send.

    Args:
        message: The message.
        request: The request that the worker runs.
        partitions: Keys of each source's partitions, as home sees them, by the name of the source
            in the sink; None when only the worker can list them.

    Raises:
        MalformedError: the worker may not send this message.
    """
    if type(message) not in STAGES.get(request.stage, ()):
        what = type(message).__name__
        raise MalformedError(f"{what} is not allowed in the stage {request.stage}")
    match message:
        case AskKnown(source=source):
            _refuse_source(source, request.known_as)
        case Record(source=source):
            _refuse_source(source, set(map(request.kept_as, request.fetched)))
            own = partitions.get(source)
            if own is not None and message.partition.key not in own:
                raise MalformedError(f"{message.partition.key!r} is not a partition of {source!r}")
            _refuse_contradiction(message)
        case AskRaw(source=source) | Refuse(source=source):
            _refuse_source(source, set(map(request.kept_as, request.sources)))
        case Publish(request=publishing):
            if publishing.run != request.run:
                raise MalformedError("the publish is for another run")


def refuse_other_owner(publishing: str, published: str | None, request: WorkerRequest) -> None:
    """Refuse a fingerprint that changes what other pipelines published, or claims more sources.

    Args:
        publishing: The fingerprint that the worker sends.
        published: The fingerprint at home.
        request: The request that the worker runs.

    Raises:
        MalformedError: the worker may not publish this.
    """
    before = standing(published, pipeline=request.pipeline, sources=request.sources)
    after = standing(publishing, pipeline=request.pipeline, sources=request.sources)
    if after.others != before.others:
        raise MalformedError("the publish changes what belongs to another pipeline")
    if after.removed(request.sources):
        raise MalformedError("the publish has sources that are not of this run")


def _refuse_source(source: str, own: Collection[str]) -> None:
    if source not in own:
        raise MalformedError(f"{source!r} is not a source of this run")


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
