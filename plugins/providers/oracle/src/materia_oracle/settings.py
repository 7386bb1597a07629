"""Settings of the `oracle` provider: the table `providers.oracle` of materia.toml, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from materia.errors import ConfigError
from materia.kit.mistakes import Mistakes
from materia_providers.settings import read_api_url, read_ssh_port, read_url

PROVIDER = "oracle"
EXAMPLE_URL = "https://iaas.eu-frankfurt-1.oraclecloud.com"
EXAMPLE_LIST = "https://apexapps.oracle.com/pls/apex/cetools/api/v1/products/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of the provider.

    Attributes:
        compartment: OCID of a compartment; empty means the tenancy's root.
        subnet: OCID of a subnet; empty when only prices are read.
        image: Operating system and version of an image, or its OCID.
        ssh_port: Port of the SSH server on the workers.
        api_url: Base URL of all APIs without a trailing slash; empty means Oracle's own.
        price_list_url: URL of the public price list; empty means Oracle's own.
    """

    compartment: str = ""
    subnet: str = ""
    image: str = "Canonical Ubuntu 24.04"
    ssh_port: int = 22
    api_url: str = ""
    price_list_url: str = ""


def read_settings(values: Mapping[str, object]) -> Settings:
    """The settings in *values*; an absent one has its default.

    Raises:
        ConfigError: some settings are invalid; it has every mistake.
    """
    mistakes = Mistakes()
    with mistakes.kept():
        compartment = _ocid(values, "compartment", "compartment", "tenancy")
    with mistakes.kept():
        subnet = _ocid(values, "subnet", "subnet")
    with mistakes.kept():
        port = read_ssh_port(values, provider=PROVIDER)
    with mistakes.kept():
        url = read_api_url(values, provider=PROVIDER, default="", example=EXAMPLE_URL)
    with mistakes.kept():
        price_list_url = read_url(values, "price_list_url", provider=PROVIDER, example=EXAMPLE_LIST)
    mistakes.finish()
    return Settings(
        compartment=compartment,
        subnet=subnet,
        image=str(values.get("image") or Settings().image),
        ssh_port=port,
        api_url=url,
        price_list_url=price_list_url,
    )


def _ocid(values: Mapping[str, object], name: str, *kinds: str) -> str:
    value = str(values.get(name) or "")
    if value and not value.startswith(tuple(f"ocid1.{kind}." for kind in kinds)):
        raise ConfigError(
            f"providers.oracle.{name} must be the OCID of a {kinds[0]}, ocid1.{kinds[0]}..., "
            f"is {value!r}"
        )
    return value
