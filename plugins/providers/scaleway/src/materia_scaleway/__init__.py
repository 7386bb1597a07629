"""The `scaleway` provider: workers on Scaleway. The SDK is imported when it is opened."""

from __future__ import annotations

from collections.abc import Sequence

from materia import Opening, Plugin, Provider, Setting, hookimpl
from materia.compute import Offer, Requirements


def open_scaleway(opening: Opening) -> Provider:
    """Open the provider; this sends no request to Scaleway."""
    from materia_scaleway.settings import open_provider

    return open_provider(opening)


def public_offers(opening: Opening, requirements: Requirements) -> Sequence[Offer]:
    """The public product catalog, without credentials: it has prices and shapes and no stock."""
    from materia_scaleway.settings import offers_without_credentials

    return offers_without_credentials(opening, requirements)


@hookimpl
def materia_providers() -> list[Plugin[Provider]]:
    """Declare `scaleway`."""
    return [
        Plugin(
            name="scaleway",
            summary="Scaleway Instances, billed by the started hour",
            open=open_scaleway,
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
