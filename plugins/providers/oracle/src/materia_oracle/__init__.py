"""The `oracle` provider: workers on Oracle Cloud. The SDK is imported when it is opened."""

from __future__ import annotations

from collections.abc import Sequence

from materia import Opening, Plugin, Provider, Setting, hookimpl
from materia.compute import Offer, Requirements


def open_oracle(opening: Opening) -> Provider:
    """Open the provider; this sends no request to the API.

    Raises:
        ConfigError: a setting is invalid.
        CredentialsError: the SDK does not accept the credentials.
    """
    from materia_oracle.credentials import read_credentials
    from materia_oracle.provider import Oracle
    from materia_oracle.settings import read_settings

    settings = read_settings(opening.settings)
    return Oracle(read_credentials(opening.secrets), settings, once=opening.once)


def check(opening: Opening) -> None:
    """Check the settings.

    Raises:
        ConfigError: some are invalid; it has every mistake.
    """
    from materia_oracle.settings import read_settings

    read_settings(opening.settings)


def public_offers(opening: Opening, requirements: Requirements) -> Sequence[Offer]:
    """The public price list, without the SDK: it has prices and no stock."""
    from materia_oracle.public import read_public_offers
    from materia_oracle.settings import read_settings

    return read_public_offers(read_settings(opening.settings), requirements, opening.once)


@hookimpl
def materia_providers() -> list[Plugin[Provider]]:
    """Declare `oracle`."""
    return [
        Plugin(
            name="oracle",
            summary="Oracle Cloud Infrastructure, billed by the second",
            open=open_oracle,
            check=check,
            public_offers=public_offers,
            secrets=(
                "OCI_CLI_USER",
                "OCI_CLI_TENANCY",
                "OCI_CLI_FINGERPRINT",
                "OCI_CLI_KEY_CONTENT",
                "OCI_CLI_REGION",
            ),
            settings=(
                Setting(
                    name="compartment",
                    kind="text",
                    default="",
                    help="OCID of a compartment for materia alone; empty: the tenancy's root.",
                ),
                Setting(
                    name="subnet",
                    kind="text",
                    default="",
                    help="OCID of a subnet with public addresses, in the region of OCI_CLI_REGION.",
                ),
                Setting(
                    name="image",
                    kind="text",
                    default="Canonical Ubuntu 24.04",
                    help="Operating system and version of the image to boot, or its OCID.",
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
                    help="Base URL of all APIs, for an emulator or a proxy; empty: Oracle's own.",
                ),
                Setting(
                    name="price_list_url",
                    kind="text",
                    default="",
                    help="URL of the public price list; empty: Oracle's own.",
                ),
            ),
        )
    ]
