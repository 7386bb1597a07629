"""Settings of the `hetzner` provider: the table `providers.hetzner` of materia.toml, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from materia.kit.mistakes import Mistakes
from materia_providers.settings import read_api_url, read_ssh_port


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of the provider.

    Attributes:
        regions: Names of locations; empty means all.
        image: Name of a system image.
        ssh_port: Port of the SSH server on the workers.
        api_url: Base URL without a trailing slash.
    """

    regions: tuple[str, ...] = ()
    image: str = "debian-12"
    ssh_port: int = 22
    api_url: str = "https://api.hetzner.cloud/v1"


def read_settings(values: Mapping[str, object]) -> Settings:
    """The settings in *values*; an absent one has its default.

    Raises:
        ConfigError: some settings are invalid; it has every mistake.
    """
    default, mistakes = Settings(), Mistakes()
    with mistakes.kept():
        port = read_ssh_port(values, provider="hetzner")
    with mistakes.kept():
        url = read_api_url(values, provider="hetzner", default=default.api_url)
    mistakes.finish()
    return Settings(
        regions=tuple(cast("tuple[str, ...]", values.get("regions") or ())),
        image=str(values.get("image") or default.image),
        ssh_port=port,
        api_url=url,
    )
