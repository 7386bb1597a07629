"""Entry points of some groups: find them in every installed distribution."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


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
        return importlib.metadata.EntryPoint(self.name, self.value, "").load()


def find_entry_points(*groups: str) -> list[EntryPoint]:
    """Those of every distribution; of two with one name, only those of the first on `sys.path`."""
    try:
        every: Any = importlib.metadata.entry_points()  # of Python 3.11, another type that selects
    except UnicodeDecodeError:  # one distribution is damaged, and Python would leave out all
        every = importlib.metadata.EntryPoints(_readable())
    return [_described(point) for group in groups for point in every.select(group=group)]


def _described(point: importlib.metadata.EntryPoint) -> EntryPoint:
    # Read once, as `dist.name` reads it each time; an e-mail message, says its documentation.
    fields: Any = point.dist.metadata if point.dist else {}
    return EntryPoint(
        name=point.name,
        value=point.value,
        distribution=fields.get("Name", "unknown"),
        version=fields.get("Version", "unknown"),
        group=point.group,
    )


def _readable() -> Iterator[importlib.metadata.EntryPoint]:
    seen = set()
    for distribution in importlib.metadata.distributions():
        with suppress(UnicodeDecodeError):
            if (name := distribution.name) not in seen:
                seen.add(name)
                yield from distribution.entry_points
