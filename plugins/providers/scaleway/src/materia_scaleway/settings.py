"""Check the settings and secrets of the `scaleway` provider, and open it."""

from __future__ import annotations

from collections.abc import Sequence

from materia import Opening
from materia.compute import Offer, Requirements
from materia.errors import ConfigError
from materia_providers.settings import read_api_url, read_ssh_port
from scaleway import Client  # type: ignore[import-untyped]
from scaleway_core.validations.string_validation import is_project_id

from materia_scaleway.client import API_URL, connect
from materia_scaleway.offers import offers_of
from materia_scaleway.prices import PROVIDER
from materia_scaleway.provider import Scaleway
from materia_scaleway.zones import Zones, zones

TABLE = "[providers.scaleway] of materia.toml"


def open_provider(opening: Opening) -> Scaleway:
    """The provider; this sends no request to Scaleway.

    Raises:
        ConfigError: a setting cannot be used.
        CredentialsError: a key is malformed.
    """
    settings = opening.settings
    return Scaleway(
        access_key=opening.secrets["SCW_ACCESS_KEY"],
        secret_key=opening.secrets["SCW_SECRET_KEY"],
        project=_project(str(settings.get("project") or "")),
        zones=_zones(opening),
        image=str(settings.get("image") or "ubuntu_noble"),
        ssh_port=read_ssh_port(settings, provider=PROVIDER),
        api_url=_api_url(opening),
        once=opening.once,
    )


def offers_without_credentials(opening: Opening, requirements: Requirements) -> Sequence[Offer]:
    """Offers from the public catalog, zone by zone.

    Raises:
        ConfigError: a setting cannot be used.
        ProviderError: the catalog does not answer.
    """
    apis = connect(Client(api_url=_api_url(opening)), 10.0)
    return offers_of(apis, _zones(opening), requirements, opening.once)


def _project(value: str) -> str:
    if value and not is_project_id(value):
        raise ConfigError(
            f"scaleway: project in {TABLE} must be a UUID, copied from the console, is {value!r}"
        )
    return value


def _api_url(opening: Opening) -> str:
    return read_api_url(opening.settings, provider=PROVIDER, default=API_URL)


def _zones(opening: Opening) -> Zones:
    value = opening.settings.get("regions") or ()
    wanted = tuple(str(item) for item in value) if isinstance(value, (list, tuple)) else ()
    return zones(wanted)
