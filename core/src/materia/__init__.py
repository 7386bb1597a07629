"""materia runs data pipelines on the cheapest machine to be had, and leaves nothing behind.

These names are what plugins are written with. They are imported on first use, because
`materia --help` needs none of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from materia.hookspecs import Opening, Plugin, Setting, hookimpl
    from materia.protocols import Provider, Sink, Source

__all__ = [
    "Opening",
    "Plugin",
    "Provider",
    "Setting",
    "Sink",
    "Source",
    "hookimpl",
]

_HOME = {
    "Opening": "materia.hookspecs",
    "Plugin": "materia.hookspecs",
    "Provider": "materia.protocols",
    "Setting": "materia.hookspecs",
    "Sink": "materia.protocols",
    "Source": "materia.protocols",
    "hookimpl": "materia.hookspecs",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'materia' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
