"""Settings of the `ovh` provider: the table `providers.ovh` of materia.toml, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from materia.errors import ConfigError
from materia.kit.mistakes import Mistakes
from materia_providers.settings import read_api_url, read_ssh_port

from materia_ovh.subsidiaries import api_at, api_of, candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of the provider.

    Attributes:
        project: Id of the Public Cloud project; empty when only prices are read.
        regions: Names of regions; empty means all.
        image: Name of a public image.
        subsidiary: OVHcloud's code, or empty for one with prices in the required currency.
        ssh_port: Port of the SSH server on the workers.
        api_url: Base URL without a trailing slash.
    """

    project: str = ""
    regions: tuple[str, ...] = ()
    image: str = "Debian 12"
    subsidiary: str = ""
    ssh_port: int = 22
    api_url: str = "https://eu.api.ovh.com/1.0"

    def subsidiaries_for(self, currency: str) -> tuple[str, ...]:
        """The subsidiaries whose prices to try, in order, for that currency."""
        return (self.subsidiary,) if self.subsidiary else candidates(self.api_url, currency)


def read_settings(values: Mapping[str, object]) -> Settings:
    """The settings in *values*; an absent one has its default.

    Raises:
        ConfigError: some settings are invalid; it has every mistake.
    """
    default, mistakes = Settings(), Mistakes()
    with mistakes.kept():
        project = _project(str(values.get("project") or ""))
    subsidiary = str(values.get("subsidiary") or "")
    with mistakes.kept():
        url = read_api_url(values, provider="ovh", default=default.api_url)
        _check_subsidiary(subsidiary, url)
    with mistakes.kept():
        port = read_ssh_port(values, provider="ovh")
    mistakes.finish()
    return Settings(
        project=project,
        regions=tuple(cast("tuple[str, ...]", values.get("regions") or ())),
        image=str(values.get("image") or default.image),
        subsidiary=subsidiary,
        ssh_port=port,
        api_url=url,
    )


def _project(value: str) -> str:
    if value and not re.fullmatch(r"[0-9a-f]{32}", value):
        raise ConfigError(
            f"providers.ovh.project must be the id of a Public Cloud project, 32 hexadecimal "
            f"digits, is {value!r}"
        )
    return value


def _check_subsidiary(subsidiary: str, url: str) -> None:
    """Refuse a subsidiary that the API at *url* does not serve.

    Raises:
        ConfigError: another API serves it, or none does.
    """
    if not subsidiary:
        return
    here, there = api_at(url), api_of(subsidiary)
    if there is None:
        served = f"; {here.hosts[0]} serves {', '.join(here.served)}" if here else ""
        raise ConfigError(
            f"providers.ovh.subsidiary must be one of OVHcloud's, such as FR, is "
            f"{subsidiary!r}{served}"
        )
    if here is not None and here is not there:
        raise ConfigError(
            f"providers.ovh.subsidiary is {subsidiary!r}, which {here.hosts[0]} does not serve: it "
            f"has {', '.join(here.served)}; for {subsidiary} set providers.ovh.api_url to "
            f"https://{there.hosts[0]}/1.0"
        )
