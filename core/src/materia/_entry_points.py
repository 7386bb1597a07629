"""Entry points: find those of some groups in every installed distribution.

A package declares a SQLMesh project in its pyproject.toml, under the name of the source it is for:

    [project.entry-points."materia.projects"]
    acme = "acme_models"
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from materia._dataclass import dataclass

if TYPE_CHECKING:
    from importlib import metadata

PROJECTS = "materia.projects"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """An entry point: a name that a distribution gives to a module, or to an object in one.

    Attributes:
        name: The name that the distribution gives it.
        value: `module` or `module:attribute`, as the distribution writes it.
        distribution: Name of the distribution.
        version: Version of the distribution.
        group: Group that the entry point belongs to.
    """

    name: str
    value: str
    distribution: str
    version: str
    group: str = "materia"

    @property
    def module(self) -> str:
        """The module's name, without an attribute."""
        return self.value.partition(":")[0].partition("[")[0].strip()

    def load(self) -> Any:
        """Import the module and return the object that the entry point names.

        Raises:
            ImportError: there is no such module. Errors that the module raises pass unchanged.
            AttributeError: the module has no such attribute.
        """
        module = import_module(self.module)
        attribute = self.value.partition(":")[2].partition("[")[0].strip()
        return attrgetter(attribute)(module) if attribute else module


def find_entry_points(*groups: str) -> list[EntryPoint]:
    """The entry points of every distribution; of two with one name, the first on `sys.path`."""
    from importlib import metadata  # its import takes as long as a tenth of a short command

    try:
        every: Any = metadata.entry_points()  # Any: Python 3.11 returns another type
    except UnicodeDecodeError:  # one damaged distribution makes Python fail for all of them
        every = metadata.EntryPoints(_readable(metadata.distributions()))
    return [_described(point) for group in groups for point in every.select(group=group)]


def _described(point: metadata.EntryPoint) -> EntryPoint:
    # Read once, because `dist.name` reads the file each time; the type is an e-mail message.
    fields: Any = point.dist.metadata if point.dist else {}
    return EntryPoint(
        name=point.name,
        value=point.value,
        distribution=fields.get("Name", "unknown"),
        version=fields.get("Version", "unknown"),
        group=point.group,
    )


def _readable(
    distributions: Iterable[metadata.Distribution],
) -> Iterator[metadata.EntryPoint]:
    seen = set()
    for distribution in distributions:
        with suppress(UnicodeDecodeError, FileNotFoundError):  # no METADATA, for some finders
            fields: Any = distribution.metadata  # `name` warns where there is none
            if (name := fields.get("Name")) not in seen:
                seen.add(name)
                yield from distribution.entry_points


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
