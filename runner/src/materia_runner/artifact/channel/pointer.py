"""Pointer of a channel in the bucket: `channels/PIPELINE/NAME.json`, moved by compare-and-swap.

A push uploads everything else first, so a reader finds the old release or the new one, whenever the
push is killed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from materia.errors import ArtifactError
from materia.kit.text import FILE_NAME

from materia_runner.artifact.channel.conditions import check_conditions
from materia_runner.artifact.channel.release import Channel, decoded, encoded

if TYPE_CHECKING:
    from materia_runner.artifact.bucket import ArtifactBucket

FOLDER = "channels"
LONGEST = 1 << 20  # bytes of a pointer
_NAME = re.compile(rf"{FOLDER}/([^/]+)/([^/]+)\.json")


class Pointers:
    """The channels of all pipelines in one bucket."""

    def __init__(self, bucket: ArtifactBucket) -> None:
        self._bucket = bucket
        self._checked = False

    def where(self, pipeline: str, name: str) -> str:
        """How messages call a channel."""
        return f"the channel {name} of {pipeline} in {self._bucket}"

    def read(self, pipeline: str, name: str) -> tuple[Channel | None, str | None]:
        """The channel and its ETag; None and None when nothing was pushed to it.

        Raises:
            ArtifactError: the bucket cannot be read, or the pointer is damaged.
        """
        content, etag = self._bucket.read(_path(pipeline, name), longest=LONGEST)
        if content is None:
            return None, None
        return decoded(content, where=self.where(pipeline, name)), etag

    def move(self, pipeline: str, name: str, channel: Channel, *, expected: str | None) -> None:
        """Write the pointer if its ETag is *expected*, or None for a new channel.

        Raises:
            ArtifactError: another push moved the channel meanwhile, the store ignores conditions,
                or the write failed; the channel is unchanged then.
        """
        if not self._checked:
            check_conditions(self._bucket)
            self._checked = True
        path, content = _path(pipeline, name), encoded(channel)
        if not self._bucket.swap(path, content, expected, longest=LONGEST):
            raise self._moved(pipeline, name)

    def confirm(self, pipeline: str, name: str, *, expected: str | None) -> None:
        """Check that the pointer still has the ETag *expected*.

        Raises:
            ArtifactError: another push moved the channel meanwhile, or the bucket cannot be read.
        """
        if self.read(pipeline, name)[1] != expected:
            raise self._moved(pipeline, name)

    def _moved(self, pipeline: str, name: str) -> ArtifactError:
        return ArtifactError(
            f"{self.where(pipeline, name)} was moved by another push meanwhile; this one "
            "changed nothing: see `materia artifact list`, and push again if it should"
        )

    def every(self) -> dict[tuple[str, str], Channel]:
        """All channels, by pipeline and name.

        Raises:
            ArtifactError: the bucket cannot be read, or a pointer is damaged.
        """
        found = {}
        for path in sorted(self._bucket.listed(FOLDER)):
            match = _NAME.fullmatch(path)
            if match and FILE_NAME.fits(match[1]) and FILE_NAME.fits(match[2]):
                channel, _ = self.read(match[1], match[2])
                if channel is not None:
                    found[match[1], match[2]] = channel
        return found


def _path(pipeline: str, name: str) -> str:
    return f"{FOLDER}/{pipeline}/{name}.json"
