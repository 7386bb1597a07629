"""Facts about the package of a plugin, from its pyproject.toml or from what is installed."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from materia.errors import ConfigError

GROUP = "materia"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the metadata of a package says, and where its code is.

    Attributes:
        name: Name of the distribution; empty without one.
        version: Its version; empty without one, `dynamic` when the build decides it.
        requires: Its requirements, the optional ones included, as they are written.
        points: Modules of the entry-point group `materia` by name.
        licensed: Whether the metadata names a licence.
        folder: The project's folder, or None for a package that is installed without one.
        code: The folder in which its Python packages are.
    """

    name: str
    version: str
    requires: tuple[str, ...]
    points: Mapping[str, str]
    licensed: bool
    folder: Path | None
    code: Path

    @property
    def packages(self) -> tuple[Path, ...]:
        """The folders or files of the modules that it declares, sorted."""
        tops = sorted({module.split(".")[0] for module in self.points.values()})
        found = (self.code / top for top in tops)
        return tuple(one if one.is_dir() else one.with_suffix(".py") for one in found)


def read_facts(what: str) -> Facts:
    """The facts of a folder with a pyproject.toml, or of an installed distribution.

    Raises:
        ConfigError: it is neither, or its pyproject.toml cannot be read.
    """
    folder = Path(what)
    if (folder / "pyproject.toml").is_file():
        return _of_folder(folder.absolute())
    try:
        return _of_installed(distribution(what))
    except (PackageNotFoundError, ValueError) as error:
        raise ConfigError(
            f"{what!r} is neither a folder with a pyproject.toml nor an installed package; "
            "`materia plugins` lists the packages that have plugins"
        ) from error


def _of_folder(folder: Path) -> Facts:
    file = folder / "pyproject.toml"
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
        project: Mapping[str, Any] = document.get("project", {})
        points = {str(k): _module(v) for k, v in _points(project).items()}
        optional = project.get("optional-dependencies", {})
        requires = [
            *project.get("dependencies", ()),
            *(one for all_ in optional.values() for one in all_),
        ]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    version = project.get("version", "dynamic" if "version" in project.get("dynamic", ()) else "")
    return Facts(
        name=str(project.get("name", "")),
        version=str(version),
        requires=tuple(map(str, requires)),
        points=points,
        licensed=bool(project.get("license")) or _classified(project.get("classifiers", ())),
        folder=folder,
        code=folder / "src" if (folder / "src").is_dir() else folder,
    )


def _points(project: Mapping[str, Any]) -> Mapping[str, str]:
    found: Mapping[str, str] = project.get("entry-points", {}).get(GROUP, {})
    return found


def _of_installed(found: Distribution) -> Facts:
    url = json.loads(found.read_text("direct_url.json") or "{}")
    if url.get("dir_info", {}).get("editable"):
        folder = Path(unquote(urlsplit(url["url"]).path))
        if (folder / "pyproject.toml").is_file():
            return _of_folder(folder)
    meta = found.metadata
    licensed = any(meta.get_all(key) for key in ("License", "License-Expression", "License-File"))
    return Facts(
        name=found.name,
        version=found.version,
        requires=tuple(found.requires or ()),
        points={one.name: _module(one.value) for one in found.entry_points.select(group=GROUP)},
        licensed=licensed or _classified(meta.get_all("Classifier") or ()),
        folder=None,
        code=Path(str(found.locate_file(""))),
    )


def _module(value: str) -> str:
    return re.split(r"[:\s\[]", value, maxsplit=1)[0]


def _classified(classifiers: Sequence[str]) -> bool:
    return any(str(one).startswith("License ::") for one in classifiers)
