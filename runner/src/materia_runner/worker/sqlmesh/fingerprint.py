"""Fingerprint of SQLMesh projects: a hash of their files, without importing SQLMesh."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

# Folders at the top of a project that do not belong to the models: SQLMesh leaves the first two
# there, and the third has queries for `materia report`.
BESIDE_MODELS = frozenset({".cache", "logs", "report"})
# What SQLMesh ran for these files, at the top of a project; it defines nothing.
RECORDED_BUILD = "recorded_build.json.gz"
COMPILED = "__pycache__"
SUFFIXES = frozenset({".csv", ".py", ".sql", ".yaml", ".yml"})


def models_fingerprint(projects: Iterable[Path]) -> str:
    """Hash the files of the SQLMesh *projects*, in their order; in hex.

    It does not depend on the place of the folders; a renamed file changes it.
    """
    digest = hashlib.sha256()
    for project in projects:
        for path in project_files(project):
            for part in (path.relative_to(project).as_posix().encode(), path.read_bytes()):
                digest.update(len(part).to_bytes(8, "big"))
                digest.update(part)
        digest.update(b"project")
    return digest.hexdigest()


def project_files(project: Path) -> list[Path]:
    """The files that define a SQLMesh project, sorted."""
    return sorted(
        path
        for path in project.rglob("*")
        if path.suffix in SUFFIXES
        and path.relative_to(project).parts[0] not in BESIDE_MODELS
        and COMPILED not in path.relative_to(project).parts
        and path.is_file()
    )
