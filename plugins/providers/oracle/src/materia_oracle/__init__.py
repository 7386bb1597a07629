"""The `oracle` provider: workers on Oracle Cloud. The SDK is imported when it is opened."""

from __future__ import annotations

from collections.abc import Sequence

from materia import Opening, Plugin, Provider, Setting, hookimpl
from materia.compute import Offer, Requirements


def open_oracle(opening: Opening) -> Provider:
    """Open the provider; this sends no request to Oracle."""
    from materia_oracle.settings import open_provider

    return open_provider(opening)


def public_offers(opening: Opening, requirements: Requirements) -> Sequence[Offer]:
    """The public price list, without the SDK: it has prices and no stock."""
    from materia_oracle.public import offers_without_credentials

    return offers_without_credentials(opening, requirements)


@hookimpl
def materia_providers() -> list[Plugin[Provider]]:
    """Declare `oracle`."""
    return [
        Plugin(
            name="oracle",
            summary="Oracle Cloud Infrastructure, billed by the second",
            open=open_oracle,
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
