"""API credentials of an OVHcloud account: application key, secret and consumer key."""

from __future__ import annotations

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
