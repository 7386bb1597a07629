"""Find or build the worker artifact: one tar.gz with everything that a stage needs except Python.

dependencies.py   resolve the distributions from those installed here
own_packages.py   core and the plugins: built from their folder, or as installed
unsent_files.py   leave out the command line, the test kit and the emulators
index_packages.py all other packages, as wheels for the worker's Python and processor
archive.py        reproducible tar.gz: the same bytes for the same files
assembly.py       build the artifact from its parts
cache.py          cache by hash, with packages apart from code, which changes daily
bucket.py         upload to an S3 bucket, from which a worker can download it
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
from materia_runner.artifact.dependencies import (
    CORE,
    RUNNER,
    TRANSFORM,
    Dependencies,
    find_closure,
)
from materia_runner.artifact.target import (
    ARCHITECTURES,
    EXTRACT,
    PYTHONS,
    SUPERVISOR,
    WHOLE,
    Artifact,
    Target,
)
from materia_runner.artifact.uv import Uv
from materia_runner.folders import artifacts_folder
from materia_runner.secrets.redaction import without_secrets

if TYPE_CHECKING:
    from materia.plugins import Registry

    from materia_runner.config.pipeline import Pipeline

SUPERVISOR_EXTRAS = ("ssh", "s3", "esc")  # of materia-runner

__all__ = [
    "ARCHITECTURES",
    "PYTHONS",
    "Artifact",
    "Target",
    "artifacts_folder",
    "build_supervisor",
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
    """The artifact of the pipeline's sources and sink, as they are installed here.

    Without *stages* it is for all stages of the pipeline. For the extract stage alone it is small:
    it has neither the packages of the transform stage nor a sink that stays at home.

    The artifact is built when it is not in the cache. It is uploaded when the pipeline has a bucket
    and *environment* is given; when that fails, a message says so and the artifact has no URL.
    Without a change of the installed packages it needs no network.

    Raises:
        ConfigError: a plugin cannot be packed.
        MissingSecretError: the bucket's credentials are not in *environment*.
        ArtifactError: uv is not installed, or a package is not available for that Python and
            processor.
    """
    target = Target.of(python, architecture)
    sources, sink = _sources(registry, pipeline), registry.sink(pipeline.sink)
    wanted = [stage.name for stage in pipeline.stages] if stages is None else stages
    whole = TRANSFORM in wanted
    roots = [CORE, RUNNER, *sources]
    if whole or sink.plugin.on_worker:
        roots.append(sink.distribution)
    dependencies = find_closure(roots, extras=(TRANSFORM,) if whole else ())
    artifact = _assembled(
        dependencies, target, registry, pipeline, stages=WHOLE if whole else EXTRACT, say=say
    )
    if pipeline.artifacts is None or environment is None:
        return artifact
    from materia_runner.artifact.bucket import ArtifactBucket

    bucket = ArtifactBucket(pipeline.artifacts, environment)
    try:
        if bucket.push(artifact):
            say(f"pushed the worker artifact to {bucket}")
        return replace(artifact, url=bucket.url(artifact))
    except ArtifactError as error:
        say(f"{error}; materia copies the artifact to each worker instead")
        return artifact


def build_supervisor(
    target: Target, registry: Registry, pipeline: Pipeline, *, say: Callable[[str], None]
) -> Artifact:
    """The command line with the pipeline's plugins: what the machine that starts runs needs.

    It has the providers in use, SSH, the bucket and Pulumi ESC, and no SQLMesh: stages run on
    rented machines. It is built when it is not in the cache.

    Raises:
        ConfigError: a plugin cannot be packed.
        ArtifactError: uv is not installed, or a package is not available for the target.
    """
    used = [
        one.distribution
        for one in registry.of_kind("provider")
        if (one.plugin.name in pipeline.providers if pipeline.providers else one.plugin.rents)
    ]
    sources, sink = _sources(registry, pipeline), registry.sink(pipeline.sink)
    roots = dict.fromkeys([CORE, RUNNER, *sources, sink.distribution, *used])
    dependencies = find_closure(roots, extras=SUPERVISOR_EXTRAS, supervisor=True)
    return _assembled(dependencies, target, registry, pipeline, stages=SUPERVISOR, say=say)


def _sources(registry: Registry, pipeline: Pipeline) -> list[str]:
    """The distributions of the sources, each once."""
    return list(dict.fromkeys(registry.source(name).distribution for name in pipeline.sources))


def _assembled(
    dependencies: Dependencies,
    target: Target,
    registry: Registry,
    pipeline: Pipeline,
    *,
    stages: tuple[str, ...],
    say: Callable[[str], None],
) -> Artifact:
    try:
        return assemble(
            dependencies,
            target,
            pipeline,
            stages=stages,
            kept=ArtifactCache(artifacts_folder(os.environ)),
            uv=Uv(pipeline.directory, without_secrets(os.environ, registry)),
            say=say,
        )
    except OSError as error:  # a full disk, a folder that may not be written to
        reason = f"{error.strerror or error}: {error.filename or 'while writing'}"
        raise ArtifactError(f"cannot build the worker artifact for {target}: {reason}") from error


def kept_artifacts(environment: Mapping[str, str]) -> list[File]:
    """The artifacts in the cache, the last used first; their hashes are not checked."""
    files = ArtifactCache(artifacts_folder(environment)).every()
    return list({one.sha256: one for one in files if one.path.name.endswith(SUFFIX)}.values())
