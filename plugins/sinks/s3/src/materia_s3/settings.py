"""Settings of the sink `s3`, checked."""

from __future__ import annotations

from collections.abc import Mapping

from materia_store.bucket.address import Address

TABLE = "sinks.s3"
KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def address_of(settings: Mapping[str, object]) -> Address:
    """The bucket that the settings name; raises as `Address.of_settings`."""
    return Address.of_settings(settings, table=TABLE, keys=KEYS)
