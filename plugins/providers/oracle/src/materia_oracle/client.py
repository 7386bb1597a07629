"""The SDK's clients, with deadlines and without its retries.

oci has 244 MB and imports in a second, so nothing here is imported before the provider is opened.
With a retry strategy of its own it would repeat `Out of host capacity`, which comes as HTTP 500.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

# Before `oci`: otherwise it imports the clients of every service.
os.environ.setdefault("OCI_PYTHON_SDK_NO_SERVICE_IMPORTS", "true")

import oci  # type: ignore[import-untyped]
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

    def every(self, doing: str, call: Callable[..., Any], **options: Any) -> list[Any]:
        """Everything on all pages of a list operation."""
        found: list[Any] = []
        while True:
            answer = self.again(doing, partial(call, **options))
            found += answer.data
            if not answer.has_next_page:
                return found
            options["page"] = answer.next_page


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
            compute=ComputeClient(given, **options),
            volumes=BlockstorageClient(given, **options),
            network=VirtualNetworkClient(given, **options),
            identity=IdentityClient(given, **options),
            first_retry=first_retry,
        )
