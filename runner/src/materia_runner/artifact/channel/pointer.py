"""Pointer of a channel in the bucket: `channels/PIPELINE/NAME.json`, moved by compare-and-swap.

A push uploads everything else first, so a reader finds the old release or the new one, whenever the
push is killed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from materia.errors import ArtifactError
from materia.kit.text import FILE_NAME

from materia_runner.artifact.channel.release import Channel, decoded, encoded

if TYPE_CHECKING:
    from obstore import PutMode

    from materia_runner.artifact.bucket import ArtifactBucket

FOLDER = "channels"
PROBES = ("conditional-writes.txt", "conditional-writes-2.txt")
PROBE_TEXT = b"materia tries on this object whether the store honours If-Match and If-None-Match.\n"
NO_ETAG = '"00000000000000000000000000000000"'
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

        After a lost answer it reads the pointer, to tell its own write from another's.

        Raises:
            ArtifactError: another push moved the channel meanwhile, the store ignores conditions,
                or the write failed; the channel is unchanged then.
        """
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        path, content = _path(pipeline, name), encoded(channel)
        self._check_conditions()
        try:
            self._bucket.write(path, content, "create" if expected is None else {"e_tag": expected})
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            now, _ = self._bucket.read(path, longest=LONGEST)
            if now != content:
                raise ArtifactError(
                    f"{self.where(pipeline, name)} was moved by another push meanwhile; this one "
                    "changed nothing: see `materia artifact list`, and push again if it should"
                ) from None

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

    def _check_conditions(self) -> None:
        """Check that the store honours conditional writes, on two objects of its own.

        Raises:
            ArtifactError: it ignores them, so two pushes could not be told apart.
        """
        if self._checked:
            return
        new, same = (f"{FOLDER}/{name}" for name in PROBES)
        if not self._refused(new, "create"):  # created just now
            self._refused(same, "create")
            if not self._refused(new, "create"):
                raise self._no_conditions()
        if not self._refused(same, {"e_tag": NO_ETAG}):
            raise self._no_conditions()
        self._checked = True

    def _refused(self, path: str, mode: PutMode) -> bool:
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            self._bucket.write(path, PROBE_TEXT, mode)
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            return True
        return False

    def _no_conditions(self) -> ArtifactError:
        return ArtifactError(
            f"{self._bucket}: the store ignores If-Match or If-None-Match, so two pushes could "
            "destroy each other's work; use one that honours them, as AWS and Cloudflare R2 do"
        )


def _path(pipeline: str, name: str) -> str:
    return f"{FOLDER}/{pipeline}/{name}.json"
