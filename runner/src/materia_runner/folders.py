"""Cache and state folders in the user's home: prices, artifacts and the ledger."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from materia.kit.user_folders import user_cache, user_state

STATE_VARIABLE = "MATERIA_STATE_DIR"


def prices_folder(environment: Mapping[str, str]) -> Path:
    """Cache folder for price lists and other answers of providers."""
    return user_cache(environment) / "prices"


def artifacts_folder(environment: Mapping[str, str]) -> Path:
    """Cache folder for artifacts."""
    return user_cache(environment) / "artifacts"


def state_folder(environment: Mapping[str, str]) -> Path:
    """State folder with the ledger: MATERIA_STATE_DIR, or the XDG state folder."""
    if given := environment.get(STATE_VARIABLE, ""):
        return Path(os.path.expanduser(given)).absolute()  # noqa: PTH111 -- leaves ~nobody as it is
    return user_state(environment)
