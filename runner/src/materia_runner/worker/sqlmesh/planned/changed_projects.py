"""Changed projects: compare the models of a pipeline with those that are published.

Nothing is loaded for it that a build needs: `materia plan` compares each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from materia.errors import ConfigError
from materia.text import together

from materia_runner.worker.ownership import Standing, standing
from materia_runner.worker.sqlmesh.fingerprint import models_fingerprint

if TYPE_CHECKING:
    from materia.protocols import Sink, Source


def changed_projects(
    sources: Mapping[str, Source],
    sink: Sink,
    *,
    pipeline: str,
    project: Path | None,
    directory: Path,
    versions: Mapping[str, str],
    models: str | None = None,
) -> tuple[tuple[Path, ...], Standing] | None:
    """The projects whose models are not those that are published, and what is published.

    None when no model changed, or when this pipeline has published nothing yet. It only reads, and
    imports no SQLMesh.

    Args:
        sources: The sources of the pipeline, by name.
        sink: The sink.
        pipeline: Name of the pipeline.
        project: Folder of its own SQLMesh project, or None.
        directory: Folder of the pipeline, for a message.
        versions: Version of the distribution of each source.
        models: Hash of the models that a rented machine would build, when they are not those here.

    Raises:
        ConfigError: there is no model to run.
    """
    projects = models_of(sources, project=project, directory=directory)
    here = standing(sink.fingerprint(), pipeline=pipeline, sources=tuple(sources))
    text = with_sources(models or models_fingerprint(projects.values()), versions)
    if not here.own or [claim.models for claim in here.own] == [models_hash(text)]:
        return None
    return tuple(projects.values()), here


def models_of(
    sources: Mapping[str, Source], *, project: Path | None, directory: Path
) -> dict[str, Path]:
    """The folders of the models by source; that of the pipeline's own project has an empty name.

    Raises:
        ConfigError: there is no model to run.
    """
    folders = {name: source.models() for name, source in sources.items()}
    folders[""] = project
    projects = {name: folder for name, folder in folders.items() if folder is not None}
    if not projects:
        raise ConfigError(
            f"there is nothing to transform: {together(list(sources))} "
            f"{'has' if len(sources) == 1 else 'have'} no models, and there is no "
            f"SQLMesh project at {directory}; set transform.project in materia.toml"
        )
    return projects


def with_sources(models: str, versions: Mapping[str, str]) -> str:
    """The hash of the models with the versions of the sources, which read the raw files."""
    return " ".join([models, *(f"{name} {version}" for name, version in versions.items())])


def models_hash(models: str) -> str:
    """The hash of `with_sources`, as a claim has it."""
    return hashlib.sha256(models.encode()).hexdigest()
