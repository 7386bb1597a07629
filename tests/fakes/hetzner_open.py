"""The hetzner plugin, opened on an emulated service with waits that suit a test."""

from __future__ import annotations

from datetime import timedelta

from materia.compute import Offer, Requirements
from materia_hetzner.emulator.service import Hetzner as Cloud
from materia_hetzner.provider import Hetzner
from materia_hetzner.settings import Settings, read_settings


def opened(
    cloud: Cloud,
    settings: Settings | None = None,
    *,
    token: str = "",
    patience: timedelta = timedelta(seconds=1),
) -> Hetzner:
    """A provider as a new process would have it."""
    return Hetzner(
        token or cloud.token,
        settings or read_settings(cloud.settings()),
        request_timeout=timedelta(seconds=1),
        patience=patience,
        settle=timedelta(seconds=0.2),
        first_retry=timedelta(milliseconds=1),
    )


def offer_of(provider: Hetzner, instance_type: str = "ccx13", region: str = "fsn1") -> Offer:
    """The offer of that type in that location."""
    return next(
        offer
        for offer in provider.offers(Requirements())
        if (offer.instance_type, offer.region) == (instance_type, region)
    )
