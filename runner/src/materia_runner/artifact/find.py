"""What a worker gets: one tar.gz with everything a stage needs but Python itself.

dependencies.py   which distributions those are, by what is installed here
own_packages.py   core and the plugins: built from their folder, or as they are installed
unsent_files.py   without the command line, the test kit and the emulators
index_packages.py everything else, as wheels for the worker's Python and processor
archive.py        the same bytes for the same files
assembly.py       the whole of it
cache.py          in the user's cache folder, by hash: packages apart from code, which changes daily
bucket.py         and in an S3 bucket, from where a worker may fetch it
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from materia.compute import Architecture
from materia.errors import ArtifactError

from materia_runner.artifact.assembly import SUFFIX, assemble
from materia_runner.artifact.cache import ArtifactCache, File
from materia_runner.artifact.dependencies import CORE, RUNNER, TRANSFORM, find_closure
from materia_runner.artifact.target import ARCHITECTURES, EXTRACT, PYTHONS, WHOLE, Artifact, Target
from materia_runner.artifact.uv import Uv
from materia_runner.folders import artifacts_folder
from materia_runner.secrets.redaction import without_secrets

if TYPE_CHECKING:
    from materia.plugins import Registry

    from materia_runner.config.pipeline import Pipeline

__all__ = [
    "ARCHITECTURES",
    "PYTHONS",
    "Artifact",
    "Target",
    "artifacts_folder",
    "find_or_build",
    "kept_artifacts",
]


def find_or_build(
    *,
    python: str,
    architecture: Architecture,
    registry: Registry,
    pipeline: Pipeline,
    say: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
    stages: Collection[str] | None = None,
) -> Artifact:
    """The artifact of the pipeline's source and sink, as they are installed here.

    Without *stages* it is for all of the pipeline's. For the extract stage alone it is a small one:
    without what only the transform stage needs, and without a sink that stays at home.

    Built when it is not kept from before, and pushed to the bucket of the pipeline when it has one
    and *environment* is given; a bucket that fails is told, and the artifact has no url then.
    Needs no network when nothing that is installed has changed.

    Raises:
        ConfigError: a plugin cannot be packed.
        MissingSecretError: the bucket's credentials are not in *environment*.
        ArtifactError: uv is not installed, or a package cannot be had for that Python and
            processor.
    """
    target = Target.of(python, architecture)
    source, sink = registry.source(pipeline.source), registry.sink(pipeline.sink)
    wanted = [stage.name for stage in pipeline.stages] if stages is None else stages
    whole = TRANSFORM in wanted
    roots = [CORE, RUNNER, source.distribution]
    if whole or sink.plugin.on_worker:
        roots.append(sink.distribution)
    try:
        artifact = assemble(
            find_closure(roots, extras=(TRANSFORM,) if whole else ()),
            target,
            pipeline,
            stages=WHOLE if whole else EXTRACT,
            kept=ArtifactCache(artifacts_folder(os.environ)),
            uv=Uv(pipeline.directory, without_secrets(os.environ, registry)),
            say=say,
        )
    except OSError as error:  # a full disk, a folder that may not be written to
        reason = f"{error.strerror or error}: {error.filename or 'while writing'}"
        raise ArtifactError(f"cannot make what workers run for {target}: {reason}") from error
    if pipeline.artifacts is None or environment is None:
        return artifact
    from materia_runner.artifact.bucket import ArtifactBucket

    bucket = ArtifactBucket(pipeline.artifacts, environment)
    try:
        if bucket.push(artifact):
            say(f"pushed what workers run to {bucket}")
        return replace(artifact, url=bucket.url(artifact))
    except ArtifactError as error:
        say(f"{error}; it is copied to each worker instead")
        return artifact


def kept_artifacts(environment: Mapping[str, str]) -> list[File]:
    """The artifacts that are kept here, the last used first; each once, its content unchecked."""
    files = ArtifactCache(artifacts_folder(environment)).every()
    return list({one.sha256: one for one in files if one.path.name.endswith(SUFFIX)}.values())
