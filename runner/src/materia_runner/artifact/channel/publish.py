"""Push a release to a channel: upload every artifact, and move the channel's pointer last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from materia_runner.artifact.bucket import object_name
from materia_runner.artifact.channel.pointer import Pointers
from materia_runner.artifact.channel.release import (
    Release,
    ReleasedArtifact,
    moved_on,
    moved_to,
    release_id,
)
from materia_runner.messages.stage_request import VERSION

if TYPE_CHECKING:
    from materia_runner.artifact.bucket import ArtifactBucket
    from materia_runner.artifact.target import Artifact

# `materia artifact prune` spares an object for that long after it was written: a push that is
# under way has not moved its channel yet.
GRACE = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a release says of itself, besides its artifacts: see `Release`."""

    commit: str
    source: str
    sink: str
    versions: dict[str, str]
    models: str


def push_release(
    bucket: ArtifactBucket,
    artifacts: Sequence[Artifact],
    content: Content,
    *,
    pipeline: str,
    channel: str,
    say: Callable[[str], None],
) -> Release:
    """Upload *artifacts*, then make them the current release of *channel*.

    Killed at any moment, the channel names the old release or the new one, and every object of it
    exists. The same artifacts again change nothing.

    Raises:
        ArtifactError: the bucket cannot be written, or another push moved the channel meanwhile.
    """
    pointers = Pointers(bucket)
    before, etag = pointers.read(pipeline, channel)
    fresh = datetime.now(UTC) - GRACE / 2
    for artifact in artifacts:
        new = bucket.push(artifact, refresh_before=fresh)
        say(f"{bucket}/{object_name(artifact.sha256)}  {'pushed' if new else 'already there'}")
    released = tuple(
        ReleasedArtifact(
            sha256=one.sha256,
            size=one.size,
            python=one.python,  # type: ignore[arg-type]  # a Target has checked it
            architecture=one.architecture,
            stages=one.stages,
        )
        for one in artifacts
    )
    release = Release(
        id=release_id(released),
        pushed_at=datetime.now(UTC),
        artifacts=released,
        commit=content.commit,
        source=content.source,
        sink=content.sink,
        versions=content.versions,
        models=content.models,
        requests=VERSION,
    )
    after = moved_on(before, release)
    if after != before:
        pointers.move(pipeline, channel, after, expected=etag)
    for artifact in artifacts:  # a prune that began before the move may have deleted one
        if bucket.look(object_name(artifact.sha256))[0] is None:
            bucket.push(artifact)
    if after == before:  # nothing was written that would have found out
        pointers.confirm(pipeline, channel, expected=etag)
    return after.release


def move_back(bucket: ArtifactBucket, to: str, *, pipeline: str, channel: str) -> Release | None:
    """Make an earlier release of *channel* the current one; None when nothing was pushed to it.

    Args:
        bucket: The bucket.
        to: ID of the release, or `previous`.
        pipeline: Name of the pipeline.
        channel: Name of the channel.

    Raises:
        ArtifactError: the channel does not know that release, an object of it is gone, or another
            push moved the channel meanwhile; the channel is unchanged then.
    """
    from materia.errors import ArtifactError

    pointers = Pointers(bucket)
    before, etag = pointers.read(pipeline, channel)
    if before is None:
        return None
    where = pointers.where(pipeline, channel)
    after = moved_to(before, to, where=where)
    for one in after.release.artifacts:
        if bucket.look(object_name(one.sha256))[0] != one.size:
            raise ArtifactError(
                f"{where} cannot go to {after.current}: {bucket}/{object_name(one.sha256)} is gone "
                "or damaged; push that release again"
            )
    if after == before:
        pointers.confirm(pipeline, channel, expected=etag)
    else:
        pointers.move(pipeline, channel, after, expected=etag)
    return after.release
