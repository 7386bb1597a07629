"""The table `providers.ovh` of materia.toml, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from materia.errors import ConfigError

# Subsidiaries that quote in a currency; OVHcloud's API console, enumeration OvhSubsidiary, 2026-08.
SUBSIDIARIES: Mapping[str, str] = {
    "EUR": "IE",
    "USD": "WE",
    "GBP": "GB",
    "PLN": "PL",
    "CAD": "CA",
    "AUD": "AU",
    "SGD": "SG",
    "INR": "IN",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a user may choose.

    Attributes:
        project: Id of the Public Cloud project; empty when only prices are read.
        regions: Names of regions; empty means all.
        image: Name of a public image.
        subsidiary: Two letters, or empty for the one that quotes in the currency asked for.
        ssh_port: Where a worker's SSH server listens.
        api_url: Without a slash at its end.
    """

    project: str = ""
    regions: tuple[str, ...] = ()
    image: str = "Debian 12"
    subsidiary: str = ""
    ssh_port: int = 22
    api_url: str = "https://eu.api.ovh.com/1.0"

    def subsidiary_for(self, currency: str) -> str:
        """Whose prices to read when prices in that currency are wanted."""
        return self.subsidiary or SUBSIDIARIES.get(currency, SUBSIDIARIES["EUR"])


def read_settings(values: Mapping[str, object]) -> Settings:
    """The settings in *values*; those that are absent have their default.

    Raises:
        ConfigError: one of them cannot be.
    """
    default = Settings()
    url = str(values.get("api_url") or default.api_url).rstrip("/")
    if not re.match(r"https?://[^/\s]+", url):
        raise ConfigError(
            f"providers.ovh.api_url must be an address such as {default.api_url}, is {url!r}"
        )
    project = str(values.get("project") or "")
    if project and not re.fullmatch(r"[0-9a-f]{32}", project):
        raise ConfigError(
            f"providers.ovh.project must be the id of a Public Cloud project, 32 hexadecimal "
            f"digits, is {project!r}"
        )
    subsidiary = str(values.get("subsidiary") or "")
    if subsidiary and not re.fullmatch(r"[A-Z]{2,4}", subsidiary):
        raise ConfigError(
            f"providers.ovh.subsidiary must be two capital letters such as FR, is {subsidiary!r}"
        )
    port = cast("int", values.get("ssh_port") or default.ssh_port)
    if port > 65535:
        raise ConfigError(f"providers.ovh.ssh_port must be at most 65535, is {port}")
    return Settings(
        project=project,
        regions=tuple(cast("tuple[str, ...]", values.get("regions") or ())),
        image=str(values.get("image") or default.image),
        subsidiary=subsidiary,
        ssh_port=port,
        api_url=url,
    )
