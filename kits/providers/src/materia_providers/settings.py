"""Validate common provider settings: addresses and the SSH port."""

from __future__ import annotations

import re
from collections.abc import Mapping

from materia.errors import ConfigError

__all__ = ["read_api_url", "read_ssh_port", "read_url"]

ADDRESS = re.compile(r"https?://[^/\s]+\S*")
LAST_PORT = 65535


def read_api_url(
    values: Mapping[str, object], *, provider: str, default: str, example: str = ""
) -> str:
    """Read the setting `api_url`, or *default* when it is not set, without a final slash.

    Args:
        values: The settings of the provider.
        provider: Name of the provider's plugin.
        default: Value when it is not set.
        example: Example address for the message; empty means *default*.

    Raises:
        ConfigError: it is not an HTTP address.
    """
    given = {"api_url": str(values.get("api_url") or default).rstrip("/")}
    return read_url(given, "api_url", provider=provider, example=example or default)


def read_url(values: Mapping[str, object], key: str, *, provider: str, example: str) -> str:
    """Read the setting *key*, an HTTP address; empty when it is not set.

    Raises:
        ConfigError: it is not an HTTP address.
    """
    url = str(values.get(key) or "")
    if url and not ADDRESS.fullmatch(url):
        raise ConfigError(
            f"providers.{provider}.{key} must be an address such as {example}, is {url!r}"
        )
    return url


def read_ssh_port(values: Mapping[str, object], *, provider: str) -> int:
    """Read the setting `ssh_port`, or 22 when it is not set.

    Raises:
        ConfigError: it is not a port.
    """
    value = values.get("ssh_port") or 22
    port = value if isinstance(value, int) else -1
    if not 0 < port <= LAST_PORT:
        raise ConfigError(
            f"providers.{provider}.ssh_port must be from 1 to {LAST_PORT}, is {value!r}"
        )
    return port
