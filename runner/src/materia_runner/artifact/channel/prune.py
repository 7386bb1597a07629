"""Delete old artifacts from the bucket, and spare those that a channel names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from materia_runner.artifact.bucket import object_name
from materia_runner.artifact.channel.pointer import Pointers
from materia_runner.artifact.channel.publish import GRACE

if TYPE_CHECKING:
    from materia_runner.artifact.bucket import ArtifactBucket, Pushed
    from materia_runner.artifact.channel.release import Channel


def named(channels: Mapping[tuple[str, str], Channel]) -> dict[str, list[str]]:
    """The artifacts that channels name: by SHA-256, the channels as `PIPELINE/NAME`, sorted."""
    found: dict[str, set[str]] = {}
    for (pipeline, name), channel in channels.items():
        for release in channel.releases:
            for one in release.artifacts:
                found.setdefault(one.sha256, set()).add(f"{pipeline}/{name}")
    return {sha256: sorted(names) for sha256, names in found.items()}


def expendable(
    pushed: Sequence[Pushed],
    channels: Mapping[tuple[str, str], Channel],
    *,
    keep: int,
    now: datetime,
    grace: timedelta = GRACE,
) -> list[Pushed]:
    """The artifacts to delete, oldest first.

    Spared are those that a channel names, the *keep* newest of the others, and those written within
    *grace*: a push that is under way has not moved its channel yet.
    """
    spared = named(channels)
    others = [one for one in pushed if one.sha256 not in spared]
    others.sort(key=lambda one: (one.pushed_at, one.sha256), reverse=True)
    return [one for one in others[keep:] if now - one.pushed_at > grace][::-1]


def prune(
    bucket: ArtifactBucket, *, keep: int, now: datetime | None = None, dry_run: bool = False
) -> list[Pushed]:
    """Delete old artifacts, and return them; with *dry_run* it deletes nothing.

    It lists the objects first and reads the channels afterwards, so it knows the channel of every
    object that it considers. It looks at each object once more before it deletes it: a push
    refreshes the objects that it uses again.

    Raises:
        ArtifactError: the bucket cannot be read or written, or a channel cannot be read: then
            nothing is deleted.
    """
    now = now or datetime.now(UTC)
    pushed = bucket.every()
    gone = expendable(pushed, Pointers(bucket).every(), keep=keep, now=now)
    if dry_run:
        return gone
    deleted = []
    for one in gone:
        _, written = bucket.look(object_name(one.sha256))
        if written is not None and now - written > GRACE:
            bucket.delete(object_name(one.sha256))
            deleted.append(one)
    return deleted
