"""Settings of the `scaleway` provider: the table `providers.scaleway` of materia.toml, checked."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from materia.errors import ConfigError
from materia.kit.mistakes import Mistakes
from materia_providers.settings import read_api_url, read_ssh_port

from materia_scaleway.prices import PROVIDER
from materia_scaleway.zones import Zones, zones


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of the provider.

    Attributes:
        project: ID of the project; empty when only prices are read.
        zones: The zones to use.
        image: Label of an image of the marketplace, or the ID of one.
        ssh_port: Port of the SSH server on the workers.
        api_url: Base URL without a trailing slash.
    """

    project: str = ""
    zones: Zones = field(default_factory=lambda: zones(()))
    image: str = "ubuntu_noble"
    ssh_port: int = 22
    api_url: str = "https://api.scaleway.com"


def read_settings(values: Mapping[str, object]) -> Settings:
    """The settings in *values*; an absent one has its default.

    Raises:
        ConfigError: some settings are invalid; it has every mistake.
    """
    default, mistakes = Settings(), Mistakes()
    with mistakes.kept():
        project = _project(str(values.get("project") or ""))
    with mistakes.kept():
        chosen = zones(tuple(cast("tuple[str, ...]", values.get("regions") or ())))
    with mistakes.kept():
        port = read_ssh_port(values, provider=PROVIDER)
    with mistakes.kept():
        url = read_api_url(values, provider=PROVIDER, default=default.api_url)
    mistakes.finish()
    return Settings(
        project=project,
        zones=chosen,
        image=str(values.get("image") or default.image),
        ssh_port=port,
        api_url=url,
    )


def _project(value: str) -> str:
    try:
        return value and str(uuid.UUID(value)) and value
    except ValueError as error:
        raise ConfigError(
            f"providers.scaleway.project must be a UUID, copied from the console, is {value!r}"
        ) from error
