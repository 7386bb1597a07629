"""The `scaleway` provider: declared here; the SDK is imported when it is opened."""

from __future__ import annotations

from collections.abc import Sequence

from materia import Opening, Plugin, Provider, Setting, hookimpl
from materia.compute import Offer, Requirements


def open_scaleway(opening: Opening) -> Provider:
    """Open the provider; nothing is asked of Scaleway yet."""
    from materia_scaleway.settings import open_provider

    return open_provider(opening)


def public_offers(opening: Opening, requirements: Requirements) -> Sequence[Offer]:
    """The public product catalog, which says prices and shapes but not what is in stock."""
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
                    help="ID of the project to create instances in, best one of its own.",
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
                    help="Label of the image to boot, as the marketplace names it.",
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
                    help="Another address for the API: an emulator or a proxy.",
                ),
            ),
        )
    ]
