"""Entry points of some groups, read from the folders that Python imports from.

As `importlib.metadata` finds them, for which it imports a parser of e-mail and reads every file
through it: a third of what a short command takes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from importlib.machinery import PathFinder
from typing import Any

FILES = {".dist-info": "METADATA", ".egg-info": "PKG-INFO"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """A name that a distribution gives to a module, or to something in one.

    Attributes:
        name: As the distribution calls it.
        value: `module` or `module:attribute`, as it is written.
        distribution: Name of the distribution.
        version: Of the distribution.
        group: The group it was found in.
    """

    name: str
    value: str
    distribution: str
    version: str
    group: str = "materia"

    @property
    def module(self) -> str:
        """The module alone."""
        return self.value.partition(":")[0].partition("[")[0].strip()

    def load(self) -> Any:
        """What it points to.

        Raises:
            ImportError: there is no such module. Whatever the module raises comes as it is.
            AttributeError: the module has no such attribute.
        """
        attributes = self.value.partition(":")[2].partition("[")[0].strip()
        found: Any = import_module(self.module)
        return reduce(getattr, filter(None, attributes.split(".")), found)


def find_entry_points(*groups: str) -> list[EntryPoint]:
    """Those of every distribution; of two with one name, only those of the first on `sys.path`."""
    if _is_plain():
        return list(_in_folders(groups))
    from importlib.metadata import entry_points

    return [
        EntryPoint(
            name=point.name,
            value=point.value,
            distribution=point.dist.name if point.dist else "unknown",
            version=point.dist.version if point.dist else "unknown",
            group=group,
        )
        for group in groups
        for point in entry_points(group=group)
    ]


def _is_plain() -> bool:
    """Whether all distributions are in folders: none in archives, or where only a finder knows."""
    finders = (one for one in sys.meta_path if one is not PathFinder)
    if any(hasattr(finder, "find_distributions") for finder in finders):
        return False
    return not any(os.path.isfile(path) for path in sys.path)  # noqa: PTH113 -- pathlib is slower


def _in_folders(groups: tuple[str, ...]) -> Iterator[EntryPoint]:
    seen: set[str] = set()
    for path in sys.path:
        try:
            names = os.listdir(path or ".")  # noqa: PTH208 -- as above
        except OSError:
            continue
        for name in names:
            stem, suffix = os.path.splitext(name)  # noqa: PTH122 -- as above
            if suffix not in FILES:
                continue
            distribution = stem.partition("-")[0].lower()
            if distribution not in seen:
                seen.add(distribution)
                yield from _of(f"{path or '.'}/{name}", FILES[suffix], groups)


def _of(folder: str, metadata: str, groups: tuple[str, ...]) -> Iterator[EntryPoint]:
    text = _text(f"{folder}/entry_points.txt")
    if not any(f"[{group}]" in text for group in groups):
        return
    head = _text(f"{folder}/{metadata}").partition("\n\n")[0]
    fields = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
    section = ""
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("["):
            section = line.strip("[]").strip()
        elif section in groups and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield EntryPoint(
                name=name.strip(),
                value=value.strip(),
                distribution=fields.get("Name", "unknown").strip(),
                version=fields.get("Version", "unknown").strip(),
                group=section,
            )


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 -- as above
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""
