"""Check settings that most providers have: the address of an API, the port of an SSH server."""

from __future__ import annotations

import re
from collections.abc import Mapping

from materia.errors import ConfigError

__all__ = ["read_api_url", "read_ssh_port"]

ADDRESS = re.compile(r"https?://[^/\s]+\S*")
LAST_PORT = 65535


def read_api_url(
    values: Mapping[str, object], *, provider: str, default: str, example: str = ""
) -> str:
    """The setting `api_url`, or *default* where it is not set; without a slash at its end.

    Args:
        values: The settings of the provider.
        provider: Its plugin's name.
        default: What it is when it is not set.
        example: An address for the message; *default* without it.

    Raises:
        ConfigError: it is no address of HTTP.
    """
    url = str(values.get("api_url") or default).rstrip("/")
    if url and not ADDRESS.fullmatch(url):
        raise ConfigError(
            f"providers.{provider}.api_url must be an address such as {example or default}, "
            f"is {url!r}"
        )
    return url


def read_ssh_port(values: Mapping[str, object], *, provider: str) -> int:
    """The setting `ssh_port`, or 22 where it is not set.

    Raises:
        ConfigError: it is no port.
    """
    value = values.get("ssh_port") or 22
    port = value if isinstance(value, int) else -1
    if not 0 < port <= LAST_PORT:
        raise ConfigError(
            f"providers.{provider}.ssh_port must be at most {LAST_PORT}, is {value!r}"
        )
    return port
