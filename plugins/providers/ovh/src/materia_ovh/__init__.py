"""The `ovh` provider: workers on OVHcloud Public Cloud."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from materia import Opening, Plugin, Provider, Setting, hookimpl

if TYPE_CHECKING:
    from materia.compute import Offer, Requirements


def open_ovh(opening: Opening) -> Provider:
    """Open the provider; this sends no request to the API.

    Raises:
        ConfigError: a setting is invalid, or the SDK cannot read an ovh.conf that it finds.
    """
    from configparser import Error

    from materia.errors import ConfigError

    from materia_ovh.credentials import read_credentials
    from materia_ovh.settings import read_settings

    settings = read_settings(opening.settings)
    try:
        # The SDK reads its files at import and again when a client is opened.
        from materia_ovh.provider import Ovh

        return Ovh(read_credentials(opening.secrets), settings, once=opening.once)
    except (Error, UnicodeDecodeError) as error:
        # Leave out the SDK's message: it quotes the line, which may contain a secret.
        raise ConfigError(
            "ovh: the SDK reads ovh.conf in this folder, ~/.ovh.conf and /etc/ovh.conf, and cannot "
            f"read {getattr(error, 'source', 'one of them')} ({type(error).__name__}); materia "
            "needs none of them"
        ) from error


def check(opening: Opening) -> None:
    """Check the settings.

    Raises:
        ConfigError: some are invalid; it has every mistake.
    """
    from materia_ovh.settings import read_settings

    read_settings(opening.settings)


def public_offers(opening: Opening, requirements: Requirements) -> Sequence[Offer]:
    """The public price catalog, without credentials and without availability."""
    from materia_ovh.catalog import read_public_offers
    from materia_ovh.settings import read_settings

    return read_public_offers(read_settings(opening.settings), requirements, opening.once)


@hookimpl
def materia_providers() -> list[Plugin[Provider]]:
    """Declare `ovh`."""
    return [
        Plugin(
            name="ovh",
            summary="OVHcloud Public Cloud: clock hours, Europe, North America, Asia-Pacific",
            open=open_ovh,
            check=check,
            public_offers=public_offers,
            secrets=("OVH_APPLICATION_KEY", "OVH_APPLICATION_SECRET", "OVH_CONSUMER_KEY"),
            settings=(
                Setting(
                    name="project",
                    kind="text",
                    default="",
                    help="Id of the Public Cloud project, 32 hexadecimal digits.",
                ),
                Setting(
                    name="regions",
                    kind="texts",
                    default=(),
                    help="Regions to rent in, for example GRA11; empty means all that are active.",
                ),
                Setting(
                    name="image",
                    kind="text",
                    default="Debian 12",
                    help="Name of the public image that workers boot.",
                ),
                Setting(
                    name="subsidiary",
                    kind="text",
                    default="",
                    help="OVHcloud company that bills you, such as FR; empty: one of the API's.",
                ),
                Setting(
                    name="ssh_port",
                    kind="number",
                    default=22,
                    help="Port of the SSH server on the workers.",
                ),
                Setting(
                    name="api_url",
                    kind="text",
                    default="https://eu.api.ovh.com/1.0",
                    help="Base URL of the API: ca.api.ovh.com for Canada, or the emulator.",
                ),
            ),
        )
    ]
