"""Secrets: taken from the environment, given to who declared them, kept out of what is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from materia.plugins import Registry

HIDDEN = "***"
SHORTEST_LINE = 4  # of a secret in several lines, such as a key; shorter ones are also words


def without_secrets(environment: Mapping[str, str], registry: Registry) -> dict[str, str]:
    """The environment less every variable that any installed plugin declares as a secret."""
    declared = {name for found in registry.found for name in found.plugin.secrets}
    return {name: value for name, value in environment.items() if name not in declared}


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret in it hidden, also where it was quoted, escaped or cut in lines.

    The longest goes first, as one may contain another.
    """
    written = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(written, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return text


def _forms(secret: str) -> set[str]:
    """How a secret is written in messages, tracebacks, JSON and addresses, and its single lines."""
    import json
    from urllib.parse import quote, quote_plus

    whole = {
        secret,
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        quote(secret, safe=""),
        quote_plus(secret),
    }
    lines = [line.strip() for line in secret.splitlines()]
    return whole | {line for line in lines if len(line) >= SHORTEST_LINE}


def redact_all(value: Any, secrets: Iterable[str]) -> Any:
    """As `redact`, for every text in a value that came from JSON."""
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, list):
        return [redact_all(item, secrets) for item in value]
    if isinstance(value, dict):
        return {key: redact_all(item, secrets) for key, item in value.items()}
    return value
