"""Find the SQLMesh project of a pipeline: a folder, or an installed package."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from materia._entry_points import Project
from materia.errors import ConfigError
from materia.text import suggestion, together

from materia_runner.config.table import Table
from materia_runner.folders import at_or_above

PROJECT = "transform/sqlmesh_materia"
# What Python and DuckDB leave anywhere in a project that was run in place, and SQLMesh at its top.
LEFT_BEHIND = shutil.ignore_patterns("__pycache__", "*.duckdb*")
LEFT_AT_TOP = frozenset({".cache", "logs"})


def above(start: Path) -> Path | None:
    """The nearest folder with the default project, *start* or a parent of it; or None."""
    return next((one for one in at_or_above(start) if (one / PROJECT).is_dir()), None)


def find_project(
    transform: Table, *, sources: Sequence[str], directory: Path, projects: Sequence[Project]
) -> tuple[Path | None, str | None]:
    """The folder of the project, and the package that has it, if any.

    `[transform] project` is a folder, or the name of an installed project. Without it, the default
    folder in *directory* or a parent is used; then the installed project for one of the
    sources; then none.

    A mistake, such as a name that is neither, is added to the findings of *transform*.
    """
    chosen = transform.text("project", "")
    if "project" in transform.values and (folder := directory / chosen).is_dir() and chosen:
        return folder, None
    names = sorted({project.name for project in projects})
    if "project" in transform.values:
        if chosen not in names:
            # A supervisor has neither: it builds no models, and its release has them for workers.
            if names or find_spec("sqlmesh") is not None:
                transform.wrong(
                    "project",
                    "the folder of a SQLMesh project, or the name of an installed one "
                    f"({', '.join(names) or 'none is'}){suggestion(chosen, names)}",
                )
            return None, None
    elif (home := above(directory)) is not None:
        return home / PROJECT, None
    else:
        found = [source for source in sources if source in names]
        if len(found) > 1:
            transform.mistake(
                "project",
                f"transform.project: {together(found)} have an installed SQLMesh project each, "
                "and materia builds one: set transform.project to its name, or to a folder",
            )
        if len(found) != 1:
            return None, None
        (chosen,) = found
    try:
        project, folder = installed_project(projects, chosen)
    except ConfigError as error:
        transform.mistake("project", str(error))
        return None, None
    return folder, f"{project.distribution} {project.version}"


def installed_project(projects: Sequence[Project], name: str) -> tuple[Project, Path]:
    """The installed project called *name*, and its folder.

    Raises:
        ConfigError: none or two are installed, or the folder is missing.
    """
    found = [project for project in projects if project.name == name]
    if not found:
        names = ", ".join(sorted({project.name for project in projects})) or "none"
        raise ConfigError(f"no SQLMesh project for {name!r} is installed; installed: {names}")
    if len(found) > 1:
        both = " and ".join(project.distribution for project in found)
        raise ConfigError(
            f"two installed projects are called {name!r}, of {both}; uninstall one, or set "
            f"transform.project in materia.toml to a folder"
        )
    (project,) = found
    folder = project.locate()
    if folder is None:
        raise ConfigError(
            f"the project {name!r} of {project.distribution} has no folder {project.module}; "
            f"install {project.distribution} again"
        )
    return project, folder


def copy_project(projects: Sequence[Project], name: str, folder: Path) -> Project:
    """Copy the installed project called *name* to *folder*, for editing; atomic.

    Raises:
        ConfigError: none is installed, or *folder* exists or cannot be written.
    """
    project, original = installed_project(projects, name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} already exists and was not changed; name a new folder")
    half = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)

        def ignored(folder: str, names: list[str]) -> set[str]:
            at_top = LEFT_AT_TOP.intersection(names) if Path(folder) == original else ()
            return {*LEFT_BEHIND(folder, names), *at_top}

        shutil.copytree(original, half, ignore=ignored)
        half.replace(folder)
    except OSError as error:
        raise ConfigError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return project
