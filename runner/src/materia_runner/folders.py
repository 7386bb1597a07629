"""Cache and state folders in the user's home, and folders that are searched upward."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from materia.kit.user_folders import user_cache, user_state

STATE_VARIABLE = "MATERIA_STATE_DIR"


def prices_folder(environment: Mapping[str, str]) -> Path:
    """Cache folder for price lists and other answers of providers."""
    return user_cache(environment) / "prices"


def artifacts_folder(environment: Mapping[str, str]) -> Path:
    """Cache folder for artifacts."""
    return user_cache(environment) / "artifacts"


def recordings_folder(environment: Mapping[str, str]) -> Path:
    """Cache folder for recorded builds of SQLMesh models."""
    return user_cache(environment) / "builds"


def state_folder(environment: Mapping[str, str]) -> Path:
    """State folder with the ledger: MATERIA_STATE_DIR, or the XDG state folder."""
    if given := environment.get(STATE_VARIABLE, ""):
        return Path(os.path.expanduser(given)).absolute()  # noqa: PTH111 -- leaves ~nobody as it is
    return user_state(environment)


def at_or_above(start: Path) -> Iterator[Path]:
    """*start*, and the folders above it that users do not share, nearest first.

    Configuration and SQLMesh projects found there are run. In a shared folder, any user of this
    computer could put one for all the others. As `/tmp`, it can be written by all and has the
    sticky bit; without that bit it is more likely the checkout of a CI job.
    """
    shared = stat.S_IWOTH | stat.S_ISVTX
    yield start
    for folder in start.parents:
        with suppress(OSError):
            if folder.stat().st_mode & shared != shared:
                yield folder
