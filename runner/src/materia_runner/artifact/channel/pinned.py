"""Pin a run to a channel: read its release once, and download what its workers run.

The machine that starts the run needs neither uv nor a package index, and its workers run what was
pushed: what CI has tested.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from materia.errors import ArtifactError

from materia_runner.artifact.cache import ArtifactCache
from materia_runner.artifact.channel.pointer import Pointers
from materia_runner.artifact.channel.release import Release
from materia_runner.artifact.dependencies import CORE, RUNNER, installed
from materia_runner.artifact.target import Artifact
from materia_runner.messages.stage_request import VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from materia.plugins import Registry

    from materia_runner.artifact.bucket import ArtifactBucket
    from materia_runner.config.pipeline import Pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedRelease:
    """The release that a run uses, whatever is pushed meanwhile.

    Attributes:
        release: The release.
        where: Its channel, for messages.
        bucket: The bucket of its artifacts.
    """

    release: Release
    where: str
    bucket: ArtifactBucket

    def artifact(
        self, stage: str, *, python: str, architecture: str, cache: Path, say: Callable[[str], None]
    ) -> Artifact:
        """The artifact for *stage*, from the cache or from the bucket, checked by its hash.

        Raises:
            ArtifactError: the release has none for that Python and processor, or the bucket does
                not have the right bytes.
        """
        found = self.release.find(stage, python, architecture)
        if found is None:
            has = sorted({f"{one.python} on {one.architecture}" for one in self.release.artifacts})
            raise ArtifactError(
                f"{self.where} has no artifact of the stage {stage} for Python {python} on "
                f"{architecture}, only for {', '.join(has)}; push again with "
                f"{self.release.push_options(python, architecture)}"
            )
        kept = ArtifactCache(cache)
        key = hashlib.sha256(f"release {found.sha256}".encode()).hexdigest()
        file = kept.find(key)
        if file is None or file.sha256 != found.sha256:
            say(f"fetching the worker artifact of the release {self.release.id} from {self.bucket}")
            notes = {
                "python": found.python,
                "architecture": found.architecture,
                "source": self.release.source,
                "sink": self.release.sink,
                "stages": found.stages,
            }
            try:
                file = kept.keep(
                    key,
                    lambda out: self.bucket.fetch(found.sha256, found.size, out),
                    notes,
                    suffix=".tar.gz",
                )
            except OSError as error:
                raise ArtifactError(
                    f"cannot keep the worker artifact of {self.where}: "
                    f"{error.strerror or error}: {error.filename or 'while writing'}"
                ) from error
        artifact = Artifact(
            path=file.path,
            sha256=found.sha256,
            python=found.python,
            architecture=found.architecture,
            size=found.size,
            stages=found.stages,
        )
        try:
            return replace(artifact, url=self.bucket.url(artifact))
        except ArtifactError as error:
            say(f"{error}; materia copies the artifact to each worker instead")
            return artifact


def versions_of(registry: Registry, pipeline: Pipeline) -> dict[str, str]:
    """Version of materia and of the pipeline's plugins, as they are installed here."""
    names = {
        CORE,
        RUNNER,
        *(registry.source(name).distribution for name in pipeline.sources),
        registry.sink(pipeline.sink).distribution,
    }
    return {
        name: distribution.version
        for name in sorted(names)
        if (distribution := installed(name)) is not None
    }


def pin(
    pipeline: Pipeline, registry: Registry, environment: Mapping[str, str]
) -> PinnedRelease | None:
    """The current release of the pipeline's channel; None when it sets no channel.

    Raises:
        ArtifactError: nothing was pushed to the channel, its release is for other sources or
            another sink, or another version of materia or of a plugin is installed here.
        MissingSecretError: the bucket's credentials are not in *environment*.
    """
    if pipeline.artifacts is None or pipeline.artifacts.channel is None:
        return None
    from materia_runner.artifact.bucket import ArtifactBucket

    name = pipeline.artifacts.channel
    bucket = ArtifactBucket(pipeline.artifacts, environment)
    pointers = Pointers(bucket)
    where = pointers.where(pipeline.name, name)
    channel, _ = pointers.read(pipeline.name, name)
    if channel is None:
        raise ArtifactError(
            f"nothing was pushed to {where} yet; push with "
            f"`materia artifact push --channel {name}`, or unset artifacts.channel"
        )
    refuse_other(
        channel.release,
        source=", ".join(pipeline.sources),
        sink=pipeline.sink,
        versions=versions_of(registry, pipeline),
        where=where,
    )
    return PinnedRelease(release=channel.release, where=where, bucket=bucket)


def refuse_other(
    release: Release, *, source: str, sink: str, versions: Mapping[str, str], where: str
) -> None:
    """Refuse a release that this machine cannot run: of another pipeline, or of other versions.

    Raises:
        ArtifactError: the release is one.
    """
    if (release.source, release.sink) != (source, sink):
        raise ArtifactError(
            f"{where} is for the source{'s' if ',' in release.source else ''} {release.source} and "
            f"the sink {release.sink}, and this pipeline has {source} and {sink}; push again, or "
            "give each pipeline a `name` in materia.toml"
        )
    if release.requests != VERSION:
        raise ArtifactError(
            f"the workers of {where} are of another version of materia than this machine: push "
            "again with the version that is installed here"
        )
    for name, version in versions.items():
        if (pushed := release.versions.get(name)) != version:
            raise ArtifactError(
                f"{where} has {name} {pushed or 'not at all'}, and {version} is installed here; "
                "install the version of the release, or push again"
            )
