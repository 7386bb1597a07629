"""The table `providers.hetzner` of materia.toml, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from materia.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a user may choose.

    Attributes:
        regions: Names of locations; empty means all.
        image: Name of a system image.
        ssh_port: Where a worker's SSH server listens.
        api_url: Without a slash at its end.
    """

    regions: tuple[str, ...] = ()
    image: str = "debian-12"
    ssh_port: int = 22
    api_url: str = "https://api.hetzner.cloud/v1"


def read_settings(values: Mapping[str, object]) -> Settings:
    """The settings in *values*; those that are absent have their default.

    Raises:
        ConfigError: the address is none, or the port is too high.
    """
    default = Settings()
    url = str(values.get("api_url") or default.api_url).rstrip("/")
    if not re.match(r"https?://[^/\s]+", url):
        raise ConfigError(
            f"providers.hetzner.api_url must be an address such as {default.api_url}, is {url!r}"
        )
    port = cast("int", values.get("ssh_port") or default.ssh_port)
    if port > 65535:
        raise ConfigError(f"providers.hetzner.ssh_port must be at most 65535, is {port}")
    return Settings(
        regions=tuple(cast("tuple[str, ...]", values.get("regions") or ())),
        image=str(values.get("image") or default.image),
        ssh_port=port,
        api_url=url,
    )
