"""Entry points: find those of some groups in every installed distribution.

`importlib.metadata` finds them by importing a parser of e-mail, which takes longer than a short
command may. So plain folders are read here, by its rules; it is asked about everything else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import importlib.metadata

METADATA = {".dist-info": "METADATA", ".egg-info": "PKG-INFO"}


class _OddError(Exception):
    """A folder or a file that only `importlib.metadata` can read."""


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
        attributes = self.value.partition(":")[2].partition("[")[0].strip()
        names = [*self.module.split("."), *filter(None, attributes.split("."))]
        if not all(map(str.isidentifier, names)):
            from importlib.metadata import EntryPoint as Odd

            return Odd(self.name, self.value, "").load()
        return reduce(getattr, filter(None, attributes.split(".")), import_module(self.module))


def find_entry_points(*groups: str) -> list[EntryPoint]:
    """The entry points of every distribution; of two with one name, the first on `sys.path`."""
    try:
        found = list(_in_folders(groups))
    except (_OddError, OSError, UnicodeDecodeError):
        return _by_importlib(groups)
    return [point for group in groups for point in found if point.group == group]


def _in_folders(groups: tuple[str, ...]) -> Iterator[EntryPoint]:
    finders = [finder for finder in sys.meta_path if finder is not PathFinder]
    if any(hasattr(finder, "find_distributions") for finder in finders):
        raise _OddError
    seen: set[str] = set()
    for path in sys.path:
        for name in _names(path):
            stem, suffix = os.path.splitext(name)  # noqa: PTH122 -- pathlib takes ten times longer
            if suffix not in METADATA:
                if name.lower().endswith((*METADATA, "egg-info")):
                    raise _OddError
                continue
            distribution = _normal(stem.partition("-")[0])
            if distribution not in seen:
                seen.add(distribution)
                yield from _declared(f"{path or '.'}/{name}", METADATA[suffix], groups)


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path or ".")  # noqa: PTH208 -- pathlib takes ten times longer
    except NotADirectoryError as error:  # an archive
        raise _OddError from error
    except (FileNotFoundError, PermissionError):
        return []


def _normal(name: str) -> str:
    """The name of a distribution as it is compared: `A-b__c` is `a_b_c`."""
    name = name.lower().replace("-", "_").replace(".", "_")
    while "__" in name:
        name = name.replace("__", "_")
    return name


def _declared(folder: str, metadata: str, groups: tuple[str, ...]) -> Iterator[EntryPoint]:
    """The entry points of one distribution, by the rules of `importlib.metadata`."""
    text = _text(f"{folder}/entry_points.txt")
    if not any(f"[{group}]" in text for group in groups):
        return
    head = _text(f"{folder}/{metadata}")
    section = ""
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            section = line.strip("[]")
        elif section in groups:
            name, equals, value = line.partition("=")
            if not equals:
                raise _OddError
            yield EntryPoint(
                name=name.strip(),
                value=value.strip(),
                distribution=_field(head, "Name"),
                version=_field(head, "Version"),
                group=section,
            )


def _field(head: str, name: str) -> str:
    """The value of a field before the first empty line, when it is on one line."""
    lines = head.partition("\n\n")[0].splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith(f"{name}: ") and line.isascii() and not following[:1].isspace():
            return line.partition(":")[2].strip()
    raise _OddError


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 -- pathlib takes ten times longer
            return file.read()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError):
        return ""


def _by_importlib(groups: tuple[str, ...]) -> list[EntryPoint]:
    import importlib.metadata

    try:
        every: Any = importlib.metadata.entry_points()  # Any: Python 3.11 returns another type
    except UnicodeDecodeError:  # one damaged distribution makes Python fail for all of them
        every = importlib.metadata.EntryPoints(_readable())
    return [_described(point) for group in groups for point in every.select(group=group)]


def _described(point: importlib.metadata.EntryPoint) -> EntryPoint:
    # Read once, because `dist.name` reads the file each time; the type is an e-mail message.
    fields: Any = point.dist.metadata if point.dist else {}
    return EntryPoint(
        name=point.name,
        value=point.value,
        distribution=fields.get("Name", "unknown"),
        version=fields.get("Version", "unknown"),
        group=point.group,
    )


def _readable() -> Iterator[importlib.metadata.EntryPoint]:
    import importlib.metadata

    seen = set()
    for distribution in importlib.metadata.distributions():
        with suppress(UnicodeDecodeError, FileNotFoundError):  # no METADATA, for some finders
            if (name := distribution.name) not in seen:
                seen.add(name)
                yield from distribution.entry_points
