"""Write the package of a new plugin from a template: pyproject.toml, code, tests, README."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from materia.errors import ConfigError

from materia_runner.install_hints import install_command

if TYPE_CHECKING:
    from materia.plugins import Kind, Registry

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
LONGEST_NAME = 40
ENDING = ".txt"  # so that no tool takes a template for code


def check_name(registry: Registry, kind: Kind, name: str) -> None:
    """Raise ConfigError when *name* cannot be that of a new plugin of *kind*."""
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME or keyword.iskeyword(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a {kind}: use a word of small letters, digits and _ "
            f"that begins with a letter, has at most {LONGEST_NAME} characters and is no keyword "
            "of Python, for example `ecb_rates`"
        )
    for found in registry.of_kind(kind):
        if found.plugin.name == name:
            raise ConfigError(
                f"the {kind} {name!r} is installed already, from {found.distribution} "
                f"{found.version}; choose another name"
            )
    if kind == "source" and find_spec("materia_snapshots") is None:
        raise ConfigError(
            "materia-snapshots is not installed here, and a new source stands on it; to install "
            f"it: {install_command('materia-snapshots')}"
        )
    if find_spec(package_of(name)) is not None:
        raise ConfigError(
            f"the Python package {package_of(name)} is installed already; choose another name"
        )


def package_of(name: str) -> str:
    """The Python package of the plugin *name*."""
    return f"materia_{name}"


def distribution_of(name: str) -> str:
    """The distribution of the plugin *name*."""
    return f"materia-{name.replace('_', '-')}"


def rendered(kind: Kind, name: str) -> Mapping[str, str]:
    """The files of the package of a new plugin: their text by their path in its folder."""
    words = {
        "name": name,
        "NAME": name.upper(),
        "Class": name.title().replace("_", ""),
        "package": package_of(name),
        "distribution": distribution_of(name),
        "bounds": _bounds(version("materia-core")),
    }
    return {
        path.replace("/package/", f"/{package_of(name)}/"): Template(text).substitute(words)
        for path, text in _templates(files(__package__) / "templates" / kind)
    }


def write_package(kind: Kind, name: str, folder: Path) -> list[str]:
    """Write the package into *folder*, which must not exist; returns the paths of its files.

    Raises:
        ConfigError: the folder exists, or cannot be written.
    """
    try:
        folder.mkdir(parents=True)
        written = rendered(kind, name)
        for path, text in written.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except FileExistsError as error:
        raise ConfigError(
            f"{folder} exists already and was not changed; name another folder with --folder"
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot write {folder}: {error.strerror or error}") from error
    return sorted(written)


def _templates(folder: Traversable, below: str = "") -> list[tuple[str, str]]:
    found = []
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        path = f"{below}{entry.name}"
        if entry.is_dir():
            found += _templates(entry, f"{path}/")
        elif path.endswith(ENDING):
            found.append((path.removesuffix(ENDING), entry.read_text(encoding="utf-8")))
    return found


def _bounds(current: str) -> str:
    """The versions of materia that keep the promises of *current*: `>=0.1,<0.2`."""
    major, minor = (int(part) for part in current.split(".")[:2])
    return f">={major}.{minor},<{major}.{minor + 1}"
