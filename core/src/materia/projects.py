"""SQLMesh projects in installed packages: find them by entry point, without an import.

A package declares its project in its pyproject.toml, under the name of the source it is for:

    [project.entry-points."materia.projects"]
    acme = "acme_models"
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from materia._entry_points import EntryPoint

PROJECTS = "materia.projects"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A SQLMesh project that is installed as a package.

    Attributes:
        name: Name of the source it is for.
        module: Dotted name of the package that is its folder.
        distribution: Name of the distribution that contains it.
        version: Version of the distribution.
    """

    name: str
    module: str
    distribution: str
    version: str

    def locate(self) -> Path | None:
        """The project's folder, or None when it does not exist. Only SQLMesh runs its files."""
        top, *inner = self.module.split(".")
        spec = find_spec(top)  # imports nothing, because the name has no dots
        for root in (spec and spec.submodule_search_locations) or ():
            if (folder := Path(root, *inner)).is_dir():
                return folder
        return None


def projects_of(points: Iterable[EntryPoint]) -> tuple[Project, ...]:
    """The projects that entry points of the group declare, sorted by name."""
    projects = [
        Project(
            name=point.name,
            module=point.module,
            distribution=point.distribution,
            version=point.version,
        )
        for point in points
    ]
    return tuple(sorted(projects, key=lambda project: (project.name, project.distribution)))
