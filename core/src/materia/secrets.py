"""Secrets: taken from the environment, given to who declared them, kept out of what is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from materia.errors import MissingSecretError
from materia.plugins import Found, Registry

HIDDEN = "***"


def take_secrets(found: Found[Any], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a plugin declared, from *environment*.

    Raises:
        MissingSecretError: some of them are not set.
    """
    missing = tuple(name for name in found.plugin.secrets if not environment.get(name))
    if missing:
        raise MissingSecretError(found.plugin.name, missing)
    return {name: environment[name] for name in found.plugin.secrets}


def without_secrets(environment: Mapping[str, str], registry: Registry) -> dict[str, str]:
    """The environment less every variable that any installed plugin declares as a secret."""
    declared = {name for found in registry.found for name in found.plugin.secrets}
    return {name: value for name, value in environment.items() if name not in declared}


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret in it hidden; the longest first, as one may contain another."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def redact_all(value: Any, secrets: Iterable[str]) -> Any:
    """As `redact`, for every text in a value that came from JSON."""
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, list):
        return [redact_all(item, secrets) for item in value]
    if isinstance(value, dict):
        return {key: redact_all(item, secrets) for key, item in value.items()}
    return value
