"""Test whether the store honours conditional writes (If-Match, If-None-Match).

The test uses two objects of its own, since some stores refuse two writes to one name within a
second. Only the first run in a bucket waits for that second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import obstore
from materia.errors import ConfigError
from obstore import exceptions

from materia_store.bucket.address import Address
from materia_store.bucket.errors import OBSTORE, explain
from materia_store.object_store import StoreClient

if TYPE_CHECKING:
    from obstore import PutMode

NEW = "conditional-writes.txt"
SAME = "conditional-writes-2.txt"
TEXT = b"materia tries on this object whether the store honours If-Match and If-None-Match.\n"
NO_ETAG = '"00000000000000000000000000000000"'


def check_conditions(client: StoreClient, address: Address) -> None:
    """Send two small requests, or four to a bucket without these objects.

    Raises:
        ConfigError: the store ignores a condition or does not support it.
        SinkError: the store cannot be reached.
    """
    new = _refused(client, address, NEW, "create")
    if not new:  # created just now
        _refused(client, address, SAME, "create")
        new = _refused(client, address, NEW, "create")
    # Some stores create a missing object despite If-Match.
    same = any(_refused(client, address, SAME, {"e_tag": NO_ETAG}) for _ in range(2))
    if not (new and same):
        raise ConfigError(
            f"{address.url()}: the store at {address.endpoint or 'AWS'} ignores "
            "If-Match or If-None-Match, so two runs could destroy each other's work; "
            "use one that honours them, as AWS and Cloudflare R2 do"
        )


def _refused(client: StoreClient, address: Address, name: str, mode: PutMode) -> bool:
    def put() -> bool:
        try:
            with client.writing(name):
                obstore.put(client.store, name, TEXT, mode=mode, use_multipart=False)
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
            return True
        return False

    try:
        return client.repeat(put)
    except OBSTORE as error:
        raise explain(
            error, address, "be written", name, elsewhere=client.redirect_of(error)
        ) from None
