"""SQLMesh projects that packages bring, found by an entry point and located without an import.

A package with a project says so in its pyproject.toml; the name is that of the source it is for:

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
        name: That of the source it is for.
        module: The package that is its folder, dotted when it lies in another.
        distribution: Name of the distribution that brings it.
        version: Of the distribution.
    """

    name: str
    module: str
    distribution: str
    version: str

    def locate(self) -> Path | None:
        """Its folder, or None when there is none of that name. SQLMesh alone runs its files."""
        top, *inner = self.module.split(".")
        spec = find_spec(top)  # of a name without dots: nothing is imported
        for root in (spec and spec.submodule_search_locations) or ():
            if (folder := Path(root, *inner)).is_dir():
                return folder
        return None


def projects_of(points: Iterable[EntryPoint]) -> tuple[Project, ...]:
    """The projects that entry points of the group stand for, in the order of their names."""
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
