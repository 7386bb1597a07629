"""The oracle plugin, opened on an emulated service with waits that suit a test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from materia.compute import InstanceRequest, Offer, Requirements
from materia_oracle.emulator.service import Oracle as Cloud
from materia_oracle.provider import Oracle

E4 = "VM.Standard.E4.Flex"
NEEDS = Requirements(vcpus=2, memory_gib=Decimal(8), disk_gib=20)


def opened(
    cloud: Cloud,
    *,
    subnet: str | None = None,
    image: str = "Canonical Ubuntu 24.04",
    key: str | None = None,
    ssh_port: int = 22,
    patience: float = 0.8,
) -> Oracle:
    """A provider as a new process would have it."""
    secrets, settings = cloud.secrets(), cloud.settings()
    return Oracle(
        {
            "user": secrets["OCI_CLI_USER"],
            "tenancy": secrets["OCI_CLI_TENANCY"],
            "fingerprint": secrets["OCI_CLI_FINGERPRINT"],
            "key_content": key or secrets["OCI_CLI_KEY_CONTENT"],
            "region": secrets["OCI_CLI_REGION"],
        },
        compartment=str(settings["compartment"]),
        subnet=str(settings["subnet"]) if subnet is None else subnet,
        image=image,
        api_url=cloud.url,
        price_list_url=str(settings["price_list_url"]),
        ssh_port=ssh_port,
        timeout=timedelta(seconds=0.6),
        patience=timedelta(seconds=patience),
        settle=timedelta(seconds=0.3),
        first_retry=timedelta(milliseconds=1),
    )


def offer_of(provider: Oracle, instance_type: str, domain: int = 1) -> Offer:
    """The offer of that shape in that availability domain."""
    (found,) = [
        offer
        for offer in provider.offers(NEEDS)
        if offer.instance_type == instance_type and offer.zone.endswith(f"-AD-{domain}")
    ]
    return found


def request(offer: Offer, name: str = "materia-r1-extract") -> InstanceRequest:
    """A request for *offer*."""
    return InstanceRequest(
        name=name,
        run="r1",
        stage="extract",
        offer=offer,
        expires_at=datetime(2030, 1, 1, tzinfo=UTC),
        user_data="",
        public_key="ssh-ed25519 AAAA",
    )
