"""The `hetzner` provider: workers on Hetzner Cloud."""

from __future__ import annotations

from materia import Opening, Plugin, Provider, Setting, hookimpl


def open_hetzner(opening: Opening) -> Provider:
    """Open the provider; this sends no request to the API.

    Raises:
        ConfigError: a setting is invalid.
    """
    from materia_hetzner.provider import Hetzner
    from materia_hetzner.settings import read_settings

    settings = read_settings(opening.settings)
    return Hetzner(opening.secrets["HCLOUD_TOKEN"], settings, once=opening.once)


def check(opening: Opening) -> None:
    """Check the settings.

    Raises:
        ConfigError: some are invalid; it has every mistake.
    """
    from materia_hetzner.settings import read_settings

    read_settings(opening.settings)


@hookimpl
def materia_providers() -> list[Plugin[Provider]]:
    """Declare `hetzner`."""
    return [
        Plugin(
            name="hetzner",
            summary="Hetzner Cloud: hourly, Germany, Finland, USA, Singapore",
            open=open_hetzner,
            check=check,
            secrets=("HCLOUD_TOKEN",),
            settings=(
                Setting(
                    name="regions",
                    kind="texts",
                    default=(),
                    help="Locations to rent in, for example fsn1; empty means all.",
                ),
                Setting(
                    name="image",
                    kind="text",
                    default="debian-12",
                    help="Name of the system image that workers boot.",
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
                    default="https://api.hetzner.cloud/v1",
                    help="Base URL of the API; change it for the emulator or a proxy.",
                ),
            ),
        )
    ]
