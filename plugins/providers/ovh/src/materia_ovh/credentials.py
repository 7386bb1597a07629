"""API credentials of an OVHcloud account: application key, secret and consumer key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """An application and a consumer key of eu.api.ovh.com/createToken; a repr shows no secret.

    Attributes:
        application_key: Names the application.
        application_secret: Signs its requests.
        consumer_key: Lets it act for the account, with the rights given at its creation.
    """

    application_key: str
    application_secret: str = field(repr=False)
    consumer_key: str = field(repr=False)


def read_credentials(secrets: Mapping[str, str]) -> Credentials:
    """The credentials in the variables that the plugin declares."""
    return Credentials(
        application_key=secrets["OVH_APPLICATION_KEY"],
        application_secret=secrets["OVH_APPLICATION_SECRET"],
        consumer_key=secrets["OVH_CONSUMER_KEY"],
    )
