"""Update a supervisor: use the release that its channel names, or keep the one in use.

A service of root's does this before each run and each sweep. Whatever fails, the release in use and
its units stay: the new one is fetched beside it, checked by its hash, and tried first.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from materia.errors import ArtifactError

from materia_runner.artifact.bucket import object_name
from materia_runner.artifact.channel.pointer import Pointers
from materia_runner.artifact.target import SUPERVISOR
from materia_runner.schedule.enroll_script import (
    RELEASES,
    STATE,
    alone,
    check_release,
    place_release,
    remove_old_releases,
    use_release,
)

if TYPE_CHECKING:
    from materia_runner.artifact.bucket import ArtifactBucket
    from materia_runner.artifact.channel.release import Release, ReleasedArtifact

MACHINES = {"x86_64": "x86_64", "aarch64": "arm64"}
CHUNK = 1 << 20  # bytes
_NOTIFIED = ".notified"
KEPT = "the release before stays in use"
_LIB = re.compile(rf"{RELEASES}/([0-9a-f]{{64}})/lib")


class UnusableReleaseError(ArtifactError):
    """The release that the channel names cannot be used here; the one before stays in use.

    Attributes:
        release: Its ID.
    """

    def __init__(self, text: str, *, release: str) -> None:
        super().__init__(text)
        self.release = release


@dataclass(frozen=True, slots=True, kw_only=True)
class Updated:
    """What an update did.

    Attributes:
        release: ID of the release that the channel names, which is in use now.
        changed: Whether another one was in use before.
    """

    release: str
    changed: bool


def release_in_use(environment: Mapping[str, str]) -> Path | None:
    """The folder of the release that this process runs from; None where there is none."""
    found = _LIB.fullmatch(environment.get("PYTHONPATH", ""))
    return found and RELEASES / found[1]


def update(
    bucket: ArtifactBucket,
    *,
    pipeline: str,
    channel: str,
    user: str,
    current: Path,
    say: Callable[[str], None],
) -> Updated:
    """Use the release that the channel names: its code, and the units that it makes.

    A run under way keeps its release. A second call changes nothing.

    Args:
        bucket: The bucket of the channel.
        pipeline: Name of the pipeline.
        channel: Name of the channel.
        user: Whom the runs belong to.
        current: Folder of the release in use.
        say: Shows a sentence.

    Raises:
        UnusableReleaseError: the release cannot be fetched or used here; the one before stays in
            use.
        ArtifactError: the channel cannot be read, or nothing was pushed to it.
    """
    pointers = Pointers(bucket)
    where = pointers.where(pipeline, channel)
    named, _ = pointers.read(pipeline, channel)
    if named is None:
        raise ArtifactError(
            f"nothing was pushed to {where}; push with `materia artifact push --channel {channel}`"
        )
    try:
        return _use(bucket, named.release, where, pipeline, user=user, current=current, say=say)
    except ArtifactError as error:
        raise UnusableReleaseError(str(error), release=named.release.id) from error


def _use(
    bucket: ArtifactBucket,
    release: Release,
    where: str,
    pipeline: str,
    *,
    user: str,
    current: Path,
    say: Callable[[str], None],
) -> Updated:
    found = command_line(release)
    if found is None:
        python, machine = _here()
        raise ArtifactError(
            f"{where} has no command line for Python {python} on {machine}; push again with "
            f"{release.push_options(python, machine)}; {KEPT}"
        )
    folder = RELEASES / found.sha256
    if folder == current:
        return Updated(release=release.id, changed=False)
    try:
        with alone():
            try:
                if not folder.is_dir():
                    say(f"fetching the release {release.id} of {where}")
                    _fetch(bucket, found)
                _try(check_release(folder, user, STATE / pipeline / "materia.toml"), release)
                _try(use_release(folder, user, pipeline), release)
            finally:
                with suppress(OSError):
                    remove_old_releases(current)
    except OSError as error:
        raise ArtifactError(
            f"cannot keep the release {release.id} here: {error.strerror or error}: "
            f"{error.filename or RELEASES}; {KEPT}"
        ) from error
    return Updated(release=release.id, changed=True)


def is_notified(pipeline: str, release: str) -> bool:
    """Whether a person was notified that a release cannot be used here."""
    return _mark(pipeline, release).exists()


def keep_notified(pipeline: str, release: str | None) -> None:
    """Note that a person was notified of a release, or with None that all is well again."""
    with suppress(OSError):  # then the notification comes again
        for mark in RELEASES.parent.glob(f".{pipeline}.*{_NOTIFIED}"):
            mark.unlink()
        if release is not None:
            _mark(pipeline, release).touch()  # an empty file, which fits on a full disk, too


def _mark(pipeline: str, release: str) -> Path:
    return RELEASES.parent / f".{pipeline}.{release}{_NOTIFIED}"


def command_line(release: Release) -> ReleasedArtifact | None:
    """The command line of a release for the Python and the processor of this machine."""
    python, machine = _here()
    return release.find(SUPERVISOR[0], python, machine)


def is_behind(release: Release, environment: Mapping[str, str]) -> bool:
    """Whether this process runs from a release, and from another one than *release*."""
    current, found = release_in_use(environment), command_line(release)
    return current is not None and (found is None or found.sha256 != current.name)


def _here() -> tuple[str, str]:
    machine = platform.machine()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return python, MACHINES.get(machine, machine)


def _fetch(bucket: ArtifactBucket, found: ReleasedArtifact) -> None:
    from materia_runner.ssh.agent.files import UnusableError, unpack

    file, unpacked = RELEASES / f".{found.sha256}.tar.gz", RELEASES / f".{found.sha256}.new"
    try:
        with file.open("w+b") as content:
            bucket.fetch(found.sha256, found.size, content)
            content.seek(0)
            shutil.rmtree(unpacked, ignore_errors=True)
            whole = unpack(str(unpacked), lambda: content.read(CHUNK), found.sha256) == found.sha256
        if whole:
            place_release(unpacked, found.sha256)
    except UnusableError as error:
        raise ArtifactError(f"{bucket}/{object_name(found.sha256)}: {error}; {KEPT}") from error
    finally:
        file.unlink(missing_ok=True)
        shutil.rmtree(unpacked, ignore_errors=True)
    if not whole:
        raise ArtifactError(f"{file} was changed while it was read here; {KEPT}")


def _try(done: subprocess.CompletedProcess[str], release: Release) -> None:
    """Raise what a release says against being used.

    Raises:
        ArtifactError: it failed.
    """
    if done.returncode:
        lines = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise ArtifactError(f"the release {release.id} cannot be used here: {lines}; {KEPT}")
