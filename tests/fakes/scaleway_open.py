"""The scaleway plugin, opened on an emulated service with waits that suit a test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from materia.compute import InstanceRequest, Offer, Requirements
from materia_scaleway.credentials import read_credentials
from materia_scaleway.emulator.service import Scaleway as Cloud
from materia_scaleway.provider import Scaleway
from materia_scaleway.settings import Settings
from materia_scaleway.zones import zones

NEEDS = Requirements(vcpus=2, memory_gib=Decimal(8), disk_gib=20)


def opened(
    cloud: Cloud,
    *,
    project: str | None = None,
    image: str = "ubuntu_noble",
    ssh_port: int = 22,
    settle: float = 0.3,
) -> Scaleway:
    """A provider as a new process would have it."""
    return Scaleway(
        read_credentials(cloud.secrets()),
        Settings(
            project=cloud.project if project is None else project,
            zones=zones(("fr-par-1", "nl-ams-1")),
            image=image,
            ssh_port=ssh_port,
            api_url=cloud.url,
        ),
        request_timeout=timedelta(seconds=0.6),
        patience=timedelta(seconds=1.2),
        settle=timedelta(seconds=settle),
        first_retry=timedelta(milliseconds=1),
    )


def offer_of(provider: Scaleway, instance_type: str, zone: str = "fr-par-1") -> Offer:
    """The offer of that type in that zone."""
    (found,) = [
        offer
        for offer in provider.offers(NEEDS)
        if (offer.instance_type, offer.zone) == (instance_type, zone)
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
