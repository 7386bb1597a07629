"""Folders in the home folder of the user: the cache."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def cache_folder(environment: Mapping[str, str]) -> Path:
    """The folder of kept answers: under XDG_CACHE_HOME, or `.cache` in the home folder."""
    given = environment.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification has relative paths ignored.
    root = Path(given) if given.startswith("/") else Path.home() / ".cache"
    return root / "materia" / "prices"
