"""Folders in the home folder of the user: kept prices, kept artifacts, and the state."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from materia.kit.user_folders import user_cache, user_state

STATE_VARIABLE = "MATERIA_STATE_DIR"


def prices_folder(environment: Mapping[str, str]) -> Path:
    """The folder of kept answers of providers."""
    return user_cache(environment) / "prices"


def artifacts_folder(environment: Mapping[str, str]) -> Path:
    """The folder of kept artifacts."""
    return user_cache(environment) / "artifacts"


def state_folder(environment: Mapping[str, str]) -> Path:
    """Where the ledger is: MATERIA_STATE_DIR, else the folder of XDG."""
    if given := environment.get(STATE_VARIABLE, ""):
        return Path(os.path.expanduser(given)).absolute()  # noqa: PTH111 -- leaves ~nobody as it is
    return user_state(environment)
