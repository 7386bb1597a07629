"""The table `providers.hetzner` of materia.toml, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from materia_providers.settings import read_api_url, read_ssh_port


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
    url = read_api_url(values, provider="hetzner", default=default.api_url)
    return Settings(
        regions=tuple(cast("tuple[str, ...]", values.get("regions") or ())),
        image=str(values.get("image") or default.image),
        ssh_port=read_ssh_port(values, provider="hetzner"),
        api_url=url,
    )
