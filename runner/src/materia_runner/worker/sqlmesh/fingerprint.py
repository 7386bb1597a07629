"""The identity of SQLMesh projects by their files, without importing SQLMesh."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

# Left behind by running SQLMesh or Python in the folder; not part of what the models say.
LEFT_BEHIND = frozenset({".cache", "__pycache__", "logs"})
SUFFIXES = frozenset({".csv", ".py", ".sql", ".yaml", ".yml"})


def models_fingerprint(projects: Iterable[Path]) -> str:
    """A hash, in hex, over the files of the SQLMesh *projects*, in their order.

    Equal for equal files wherever the folders lie; a renamed file changes it.
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
    """The files of a SQLMesh project that say what it builds, sorted."""
    return sorted(
        path
        for path in project.rglob("*")
        if path.suffix in SUFFIXES
        and not LEFT_BEHIND.intersection(path.relative_to(project).parts)
        and path.is_file()
    )
