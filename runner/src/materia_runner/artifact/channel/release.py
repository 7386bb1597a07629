"""Release and channel: which artifacts a channel names, and how it moves on or back. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Literal

from materia.compute import Architecture
from materia.errors import ArtifactError
from materia.forms import Form, Range, Sha256

from materia_runner.artifact.target import SUPERVISOR, WHOLE
from materia_runner.codec import MalformedError, decode, parse, plain

FORMAT = 1
# Releases that a channel keeps for a way back; their artifacts stay in the bucket.
KEPT = 10
PREVIOUS = "previous"
RELEASE_ID = Form("the id of a release", re.compile("[0-9a-f]{12}"), 12)

Size = Annotated[int, Range(1, 1 << 40)]
ReleaseId = Annotated[str, RELEASE_ID]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedArtifact:
    """An artifact of a release: an object in the bucket.

    Attributes:
        sha256: SHA-256 of its bytes, in hex; also its name.
        size: Size in bytes.
        python: Python version that it is for.
        architecture: Architecture of the processor that it is for.
        stages: Names of the stages that it can run; `supervisor` for the command line.
    """

    sha256: Sha256
    size: Size
    python: Literal["3.11", "3.12", "3.13"]
    architecture: Architecture
    stages: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What the workers of a channel run, from one push.

    Attributes:
        id: Hash of its content, 12 hex digits.
        pushed_at: When it was pushed, in UTC.
        commit: Commit that it was built from, as CI names it; may be empty.
        source: Names of the pipeline's sources, with commas between them.
        sink: Name of the pipeline's sink.
        versions: Version of materia and of the plugins in it, by distribution.
        models: Hash of the SQLMesh projects in it; empty when there are none.
        artifacts: Its artifacts.
        after: ID of the release that it replaced; empty for the first one.
        requests: Version of the requests that its workers read; see `messages/stage_request.py`.
    """

    id: ReleaseId
    pushed_at: datetime
    commit: str
    source: str
    sink: str
    versions: Mapping[str, str]
    models: str
    artifacts: tuple[ReleasedArtifact, ...]
    after: str = ""
    requests: int = 1

    def find(self, stage: str, python: str, architecture: str) -> ReleasedArtifact | None:
        """The smallest artifact that can run *stage* on such a machine, or None."""
        fitting = [
            one
            for one in self.artifacts
            if stage in one.stages and (one.python, one.architecture) == (python, architecture)
        ]
        return min(fitting, key=lambda one: (len(one.stages), one.size), default=None)

    def push_options(self, python: str, architecture: str) -> str:
        """The options of a push for what this release is for, and for such a machine."""
        pythons = {python, *(one.python for one in self.artifacts)}
        architectures = {architecture, *(one.architecture for one in self.artifacts)}
        return " ".join(
            [
                f"--python {','.join(sorted(pythons))}",
                *(f"--arch {one}" for one in sorted(architectures)),
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """The pointer of a channel: its current release, and the releases before it.

    Attributes:
        current: ID of the release that runs use.
        releases: The releases that it knows, the last pushed first.
    """

    current: ReleaseId
    releases: tuple[Release, ...]

    @property
    def release(self) -> Release:
        """The current release."""
        return next(one for one in self.releases if one.id == self.current)


def release_id(artifacts: tuple[ReleasedArtifact, ...]) -> str:
    """The ID of a release with these artifacts; their order does not matter."""
    named = sorted((one.sha256, one.python, one.architecture, one.stages) for one in artifacts)
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()[:12]


def moved_on(before: Channel | None, release: Release) -> Channel:
    """The channel after a push of *release*: it is the current one, and the old ones stay known."""
    if before is None:
        return Channel(current=release.id, releases=(replace(release, after=""),))
    if before.current == release.id:
        return before
    others = tuple(one for one in before.releases if one.id != release.id)
    new = replace(release, after=before.current)
    kept = [one for place, one in enumerate(others) if place < KEPT - 1 or one.id == new.after]
    return Channel(current=release.id, releases=(new, *kept))


def moved_to(before: Channel, to: str, *, where: str) -> Channel:
    """The channel with another of its releases as the current one.

    Args:
        before: The channel now.
        to: ID of the release, or `previous` for the one that the current one replaced.
        where: The channel, for messages.

    Raises:
        ArtifactError: the channel does not know that release.
    """
    known = [one.id for one in before.releases]
    wanted = before.release.after if to == PREVIOUS else to
    if not wanted or (to == PREVIOUS and wanted not in known):
        raise ArtifactError(
            f"{where} has no release before {before.current}; it knows {', '.join(known)}"
        )
    if wanted not in known:
        raise ArtifactError(f"{where} has no release {to}; it knows {', '.join(known)}")
    return replace(before, current=wanted)


def encoded(channel: Channel) -> bytes:
    """The text of a channel's object."""
    return (json.dumps({"format": FORMAT, **plain(channel)}, indent=1) + "\n").encode()


def decoded(text: bytes, *, where: str) -> Channel:
    """The channel in the text of its object: every hash, name and size is checked.

    Raises:
        ArtifactError: it is damaged, or a newer materia wrote it.
    """
    try:
        values = parse(text.decode())
        channel = _checked(values)
    except (UnicodeDecodeError, MalformedError) as error:
        raise ArtifactError(
            f"{where} cannot be used: {error}; push to the channel again after you deleted it"
        ) from error
    return channel


def _checked(values: object) -> Channel:
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise MalformedError("its format is unknown; a newer materia may have written it")
    channel: Channel = decode(Channel, values)
    ids = [one.id for one in channel.releases]
    if len(set(ids)) != len(ids) or channel.current not in ids:
        raise MalformedError(
            f"it names the release {channel.current} {ids.count(channel.current)}x"
        )
    for release in channel.releases:
        if release.id != release_id(release.artifacts):
            raise MalformedError(
                f"the id of the release {release.id} is not the hash of its content"
            )
        for one in release.artifacts:
            if not set(one.stages) or not set(one.stages) <= {*WHOLE, *SUPERVISOR}:
                raise MalformedError(f"an artifact of {release.id} is for {one.stages!r}")
    return channel
