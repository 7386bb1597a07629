"""API key of Scaleway: access key and secret key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """An API key of Scaleway's IAM; a repr shows no secret.

    Attributes:
        access_key: Names the key.
        secret_key: Authenticates requests.
    """

    access_key: str
    secret_key: str = field(repr=False)


def read_credentials(secrets: Mapping[str, str]) -> Credentials:
    """The credentials in the variables that the plugin declares."""
    return Credentials(access_key=secrets["SCW_ACCESS_KEY"], secret_key=secrets["SCW_SECRET_KEY"])
