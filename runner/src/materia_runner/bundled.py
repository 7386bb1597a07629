"""Bundled plugins: the distributions in the extra `bundled` of materia-runner.

With `--no-plugins` only these are loaded, and messages name them when one is not installed. The
list is in the package metadata alone, so no code names a plugin.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from materia._entry_points import EntryPoint
    from materia.plugins import Registry

# One line of Requires-Dist: `materia-local>=0.1,<0.2 ; extra == 'bundled'`.
OF_AN_EXTRA = re.compile(r"""\s*([A-Za-z0-9._-]+)[^;]*;.*\bextra\s*==\s*['"](\w+)['"]""")


def bundled() -> frozenset[str]:
    """Names of the distributions whose plugins come with materia, installed or not."""
    return _of_extra("bundled")


def bundled_providers() -> frozenset[str]:
    """Names of the bundled distributions with a provider that rents, installed or not."""
    return _of_extra("rents")


def _of_extra(extra: str) -> frozenset[str]:
    from importlib.metadata import PackageNotFoundError, requires

    try:
        lines = requires("materia-runner") or ()
    except PackageNotFoundError:  # imported from a folder of sources
        return frozenset()
    found = filter(None, map(OF_AN_EXTRA.match, lines))
    return frozenset(match[1] for match in found if match[2] == extra)


def load_registry(
    points: Iterable[EntryPoint] | None = None, *, bundled_only: bool = False
) -> Registry:
    """Load every plugin of the environment, or of *points*; *bundled_only* skips third parties."""
    from materia.plugins import load_plugins

    only = bundled() if bundled_only else None
    return load_plugins(points, only=only, how_to_install=how_to_install)


def how_to_install(name: str) -> str:
    """The command to install a bundled plugin that is missing; empty for any other name."""
    package = f"materia-{name}"
    if package not in bundled():
        return ""
    from materia_runner.install_hints import install_command

    return f"; to add it: {install_command(package)}"
