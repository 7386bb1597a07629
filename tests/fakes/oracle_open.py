"""The oracle plugin, opened on an emulated service with waits that suit a test."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from materia.compute import InstanceRequest, Offer, Requirements
from materia_oracle.credentials import read_credentials
from materia_oracle.emulator.service import Oracle as Cloud
from materia_oracle.provider import Oracle
from materia_oracle.settings import read_settings

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
    secrets = cloud.secrets()
    if key is not None:
        secrets = {**secrets, "OCI_CLI_KEY_CONTENT": key}
    settings = replace(read_settings(cloud.settings()), image=image, ssh_port=ssh_port)
    return Oracle(
        read_credentials(secrets),
        settings if subnet is None else replace(settings, subnet=subnet),
        request_timeout=timedelta(seconds=0.6),
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
