"""The SDK's clients, with deadlines and without its retries.

oci has 244 MB and imports in a second, so nothing here is imported before the provider is opened.
With a retry strategy of its own it would repeat `Out of host capacity`, which comes as HTTP 500.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Before `oci`: otherwise it imports the clients of every service.
os.environ.setdefault("OCI_PYTHON_SDK_NO_SERVICE_IMPORTS", "true")

import oci  # type: ignore[import-untyped]
from oci.core import (  # type: ignore[import-untyped]
    BlockstorageClient,
    ComputeClient,
    VirtualNetworkClient,
)
from oci.identity import IdentityClient  # type: ignore[import-untyped]

from materia_oracle.errors import again, translated

CONNECT_SECONDS = 5.0
NO_RETRY = oci.retry.NoneRetryStrategy()


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients of one region."""

    compute: Any
    volumes: Any
    network: Any
    identity: Any


def connect(config: Mapping[str, str], *, api_url: str, seconds: float) -> Clients:
    """The clients for *config*; a request that gets no answer for *seconds* is given up.

    Raises:
        CredentialsError: the SDK does not take the configuration.
    """
    options: dict[str, Any] = {
        "retry_strategy": NO_RETRY,
        "timeout": (CONNECT_SECONDS, seconds),
    }
    if api_url:
        options["service_endpoint"] = api_url
    with translated("read the credentials"):
        return Clients(
            *(
                kind(dict(config), **options)
                for kind in (
                    ComputeClient,
                    BlockstorageClient,
                    VirtualNetworkClient,
                    IdentityClient,
                )
            )
        )


def every(doing: str, call: Any, *arguments: Any, **options: Any) -> list[Any]:
    """Everything on all pages of a list operation."""
    found: list[Any] = []
    page: str | None = None
    while True:
        asked = {**options, "page": page} if page else options
        answer = again(doing, lambda asked=asked: call(*arguments, **asked))  # type: ignore[misc]
        found += answer.data
        if not answer.has_next_page:
            return found
        page = answer.next_page
