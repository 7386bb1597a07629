"""Cache and state folders of materia for a user, by the XDG base directory specification."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["user_cache", "user_state"]


def user_cache(environment: Mapping[str, str]) -> Path:
    """`materia` under XDG_CACHE_HOME, else under `~/.cache`."""
    return _under(environment, "XDG_CACHE_HOME", ".cache")


def user_state(environment: Mapping[str, str]) -> Path:
    """`materia` under XDG_STATE_HOME, else under `~/.local/state`."""
    return _under(environment, "XDG_STATE_HOME", ".local/state")


def _under(environment: Mapping[str, str], variable: str, default: str) -> Path:
    """The folder below *variable* or the home folder; below `/` when there is no home folder."""
    given = environment.get(variable, "")
    if given.startswith("/"):  # the specification says to ignore relative paths
        return Path(given, "materia")
    home = environment.get("HOME", "")
    if not home.startswith("/"):
        home = os.path.expanduser("~")  # noqa: PTH111 -- Path.home() fails without one
    return Path("/", home.removeprefix("~"), default, "materia")
