"""The SDK's clients, with deadlines and without its retries.

oci has 244 MB and imports in a second, so nothing here is imported before the provider is opened.
With a retry strategy of its own it would repeat `Out of host capacity`, which comes as HTTP 500.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

# Before `oci`: otherwise it imports the clients of every service.
os.environ.setdefault("OCI_PYTHON_SDK_NO_SERVICE_IMPORTS", "true")

import oci  # type: ignore[import-untyped]
from materia.entries import ODD, LeftOut, reason_of
from materia.http_environment import check_requests
from oci.core import (  # type: ignore[import-untyped]
    BlockstorageClient,
    ComputeClient,
    VirtualNetworkClient,
)
from oci.identity import IdentityClient  # type: ignore[import-untyped]

from materia_oracle.errors import BusyRateError, UnansweredError, translated

CONNECT_SECONDS = 5.0
NO_RETRY = oci.retry.NoneRetryStrategy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """The clients of one region, and how to ask them.

    Attributes:
        first_retry: Seconds until a request that is safe to repeat is repeated.
    """

    compute: Any
    volumes: Any
    network: Any
    identity: Any
    first_retry: float

    def once(self, doing: str, call: Callable[[], Any]) -> Any:
        """The answer of *call*.

        Raises:
            UnansweredError: there is none, or it is no JSON: the SDK makes an object without any
                values of a gateway's page.
        """
        with translated(doing):
            answer = call()
            if "html" in str(answer.headers.get("content-type", "")).lower():
                raise UnansweredError(f"oracle: {doing}: the answer is not JSON")
        return answer

    def again(self, doing: str, call: Callable[[], Any]) -> Any:
        """The answer of *call*, which is safe to repeat: tried three times, then given up."""
        for pause in (self.first_retry, 3 * self.first_retry):
            try:
                return self.once(doing, call)
            except (UnansweredError, BusyRateError):
                time.sleep(pause)
        return self.once(doing, call)

    def every(
        self, doing: str, call: Callable[..., Any], left: LeftOut | None = None, /, **options: Any
    ) -> list[Any]:
        """Everything on all pages of a list operation.

        An entry that the SDK cannot read is told to *left*.

        Raises:
            UnansweredError: there is one, and no *left*: the list is not whole.
        """
        found: list[Any] = []
        while True:
            answer = self.again(doing, partial(call, **options))
            if not isinstance(answer.data, list):
                raise UnansweredError(f"oracle: {doing}: the answer is no list")
            for one in answer.data:
                if not isinstance(one, Unreadable):
                    found.append(one)
                elif left is not None:
                    left.add(f"an entry of {doing}", one.reason)
                else:
                    raise UnansweredError(f"oracle: {doing}: an entry cannot be read: {one.reason}")
            if not answer.has_next_page:
                return found
            options["page"] = answer.next_page


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An entry of a list that the SDK made nothing of."""

    reason: str


def _by_entry(client: Any) -> Any:
    """The *client*, reading lists entry by entry: the SDK's own way loses all for one of them."""
    whole = client.base_client.deserialize_response_data

    def read(data: bytes, kind: str, *rest: Any) -> Any:
        if not kind.startswith("list["):
            return whole(data, kind, *rest)
        entries = json.loads(data)
        if not isinstance(entries, list):
            return None
        return [
            one(entry, kind.removeprefix("list[").removesuffix("]"), *rest) for entry in entries
        ]

    def one(entry: object, kind: str, *rest: Any) -> Any:
        if not isinstance(entry, dict):
            return Unreadable(f"it is {type(entry).__name__}, not an object")
        try:
            return whole(json.dumps(entry).encode(), kind, *rest)
        except ODD as error:
            return Unreadable(reason_of(error))

    client.base_client.deserialize_response_data = read
    return client


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in Oracle's cloud everything of materia is.

    Attributes:
        compartment: Its OCID.
        region: Oracle's name of it, for example `eu-frankfurt-1`.
    """

    clients: Clients
    compartment: str
    region: str


def connect(
    config: Mapping[str, str], *, api_url: str, seconds: float, first_retry: float = 0.2
) -> Clients:
    """The clients for *config*; a request that gets no answer for *seconds* is given up.

    Raises:
        CredentialsError: the SDK does not take the configuration.
        VariableError: a variable for proxies or certificates cannot be used.
    """
    check_requests(api_url or f"https://iaas.{config['region']}.oraclecloud.com", os.environ)
    options: dict[str, Any] = {"retry_strategy": NO_RETRY, "timeout": (CONNECT_SECONDS, seconds)}
    if api_url:
        options["service_endpoint"] = api_url
    given = dict(config)
    with translated("read the credentials"):
        return Clients(
            compute=_by_entry(ComputeClient(given, **options)),
            volumes=_by_entry(BlockstorageClient(given, **options)),
            network=_by_entry(VirtualNetworkClient(given, **options)),
            identity=_by_entry(IdentityClient(given, **options)),
            first_retry=first_retry,
        )
