"""The ovh plugin, opened on an emulated service with waits that suit a test."""

from __future__ import annotations

from datetime import timedelta

from materia.compute import Offer, Requirements
from materia_ovh.credentials import Credentials
from materia_ovh.emulator.service import Ovh as Cloud
from materia_ovh.provider import Ovh
from materia_ovh.settings import Settings, read_settings


def credentials_of(cloud: Cloud) -> Credentials:
    return Credentials(
        application_key=cloud.application_key,
        application_secret=cloud.application_secret,
        consumer_key=cloud.consumer_key,
    )


def opened(
    cloud: Cloud, settings: Settings | None = None, credentials: Credentials | None = None
) -> Ovh:
    """A provider as a new process would have it."""
    return Ovh(
        credentials or credentials_of(cloud),
        settings or read_settings(cloud.settings()),
        request_timeout=timedelta(seconds=1),
        patience=timedelta(seconds=1),
        settle=timedelta(seconds=0.2),
        first_retry=timedelta(milliseconds=1),
    )


def offer_of(provider: Ovh, instance_type: str = "b3-8", region: str = "GRA11") -> Offer:
    """The offer of that flavor in that region."""
    return next(
        offer
        for offer in provider.offers(Requirements())
        if (offer.instance_type, offer.region) == (instance_type, region)
    )
