"""The `scaleway` provider: workers on Scaleway. The SDK is imported when it is opened."""

from __future__ import annotations

from collections.abc import Sequence

from materia import Opening, Plugin, Provider, Setting, hookimpl
from materia.compute import Offer, Requirements


def open_scaleway(opening: Opening) -> Provider:
    """Open the provider; this sends no request to the API.

    Raises:
        ConfigError: a setting is invalid.
        CredentialsError: a key is malformed.
    """
    from materia_scaleway.credentials import read_credentials
    from materia_scaleway.provider import Scaleway
    from materia_scaleway.settings import read_settings

    settings = read_settings(opening.settings)
    return Scaleway(read_credentials(opening.secrets), settings, once=opening.once)


def check(opening: Opening) -> None:
    """Check the settings.

    Raises:
        ConfigError: some are invalid; it has every mistake.
    """
    from materia_scaleway.settings import read_settings

    read_settings(opening.settings)


def public_offers(opening: Opening, requirements: Requirements) -> Sequence[Offer]:
    """The public product catalog, without credentials: it has prices and shapes and no stock."""
    from materia_scaleway.public import read_public_offers
    from materia_scaleway.settings import read_settings

    return read_public_offers(read_settings(opening.settings), requirements, opening.once)


@hookimpl
def materia_providers() -> list[Plugin[Provider]]:
    """Declare `scaleway`."""
    return [
        Plugin(
            name="scaleway",
            summary="Scaleway Instances, billed by the started hour",
            open=open_scaleway,
            check=check,
            public_offers=public_offers,
            secrets=("SCW_ACCESS_KEY", "SCW_SECRET_KEY"),
            settings=(
                Setting(
                    name="project",
                    kind="text",
                    default="",
                    help="ID of the project to create instances in, best one for materia alone.",
                ),
                Setting(
                    name="regions",
                    kind="texts",
                    default=(),
                    help="Regions or zones to use, for example fr-par or nl-ams-1; empty: all.",
                ),
                Setting(
                    name="image",
                    kind="text",
                    default="ubuntu_noble",
                    help="Label of the image to boot, from the marketplace.",
                ),
                Setting(
                    name="ssh_port",
                    kind="number",
                    default=22,
                    help="Port of the SSH server on the instances.",
                ),
                Setting(
                    name="api_url",
                    kind="text",
                    default="",
                    help="Base URL of the API, for an emulator or a proxy; empty: Scaleway's own.",
                ),
            ),
        )
    ]
