"""Oracle API clients: the SDK `oci` with a request timeout and without its own retries.

The SDK has 244 MB and takes a second to import, so materia imports this module only when it opens
the provider. The SDK's retry strategy would repeat `Out of host capacity`, which is an HTTP 500.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

# Before `oci`: otherwise it imports the clients of every service.
os.environ.setdefault("OCI_PYTHON_SDK_NO_SERVICE_IMPORTS", "true")

import oci  # type: ignore[import-untyped]
from materia.errors import ProviderError
from materia_http.environment import check_requests
from materia_providers import polling
from materia_providers.api_errors import BusyRateError, UnansweredError
from materia_providers.labels import read_owner
from materia_providers.list_entries import ODD, LeftOut, reason_of
from oci.core import (  # type: ignore[import-untyped]
    BlockstorageClient,
    ComputeClient,
    VirtualNetworkClient,
)
from oci.identity import IdentityClient  # type: ignore[import-untyped]

from materia_oracle.errors import translated

CONNECT_SECONDS = 5.0
NO_RETRY = oci.retry.NoneRetryStrategy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """The clients of one region, and their retries.

    Attributes:
        first_retry: Seconds before the first retry of a request that is safe to repeat.
    """

    compute: Any
    volumes: Any
    network: Any
    identity: Any
    first_retry: float

    def once(self, doing: str, call: Callable[[], Any]) -> Any:
        """The answer of *call*.

        Raises:
            UnansweredError: there is none, or it is not JSON: the SDK turns a gateway's page into
                an object without values.
        """
        with translated(doing):
            answer = call()
            if "html" in str(answer.headers.get("content-type", "")).lower():
                raise UnansweredError(f"oracle: cannot {doing}: the answer is not JSON")
        return answer

    def again(self, doing: str, call: Callable[[], Any]) -> Any:
        """The answer of *call*, which is safe to repeat: three tries."""
        return polling.again(
            lambda: self.once(doing, call),
            passing=may_pass,
            first_pause=timedelta(seconds=self.first_retry),
        )

    def every(
        self, doing: str, call: Callable[..., Any], left: LeftOut | None = None, /, **options: Any
    ) -> list[Any]:
        """The entries on all pages of a list operation.

        *left* records an entry that the SDK cannot read. Without *left*, an unreadable entry that
        is not materia's is skipped.

        Raises:
            UnansweredError: an unreadable entry may be materia's and there is no *left*: the list
                is incomplete.
        """
        found: list[Any] = []
        while True:
            answer = self.again(doing, partial(call, **options))
            if not isinstance(answer.data, list):
                raise UnansweredError(f"oracle: cannot {doing}: the answer is not a list")
            for one in answer.data:
                if not isinstance(one, Unreadable):
                    found.append(one)
                elif left is not None:
                    left.add(f"an entry of '{doing}'", one.reason)
                elif one.may_be_ours:
                    raise UnansweredError(
                        f"oracle: cannot {doing}: an entry cannot be read: {one.reason}"
                    )
            if not answer.has_next_page:
                return found
            options["page"] = answer.next_page


def may_pass(error: ProviderError) -> bool:
    """Whether the same request may succeed later."""
    return isinstance(error, UnansweredError | BusyRateError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """An entry of a list that the SDK could not read.

    Attributes:
        reason: Why not.
        may_be_ours: Whether it carries materia's tags, or its tags cannot be read.
    """

    reason: str
    may_be_ours: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The compartment and region that hold materia's resources.

    Attributes:
        compartment: Its OCID.
        region: Its name, for example `eu-frankfurt-1`.
    """

    clients: Clients
    compartment: str
    region: str


def connect(
    config: Mapping[str, str], *, api_url: str, seconds: float, first_retry: float = 0.2
) -> Clients:
    """The clients for *config*; a request times out after *seconds*.

    Raises:
        CredentialsError: the SDK does not accept the configuration.
        VariableError: a variable for proxies or certificates cannot be used.
    """
    check_requests(api_url or f"https://iaas.{config['region']}.oraclecloud.com", os.environ)
    options: dict[str, Any] = {"retry_strategy": NO_RETRY, "timeout": (CONNECT_SECONDS, seconds)}
    if api_url:
        options["service_endpoint"] = api_url
    given = dict(config)
    with translated("read the credentials"):
        compute = ComputeClient(given, **options)
        # Each client would read the private key anew, and checking its primes takes most of the
        # time that opening takes.
        options["signer"] = compute.base_client.signer
        return Clients(
            compute=_checking(compute),
            volumes=_checking(BlockstorageClient(given, **options)),
            network=_checking(VirtualNetworkClient(given, **options)),
            identity=_checking(IdentityClient(given, **options)),
            first_retry=first_retry,
        )


def _checking(client: Any) -> Any:
    """A client of the SDK that validates an answer before it makes objects of it.

    The SDK turns `{}` into an empty list, any text into an object without values, and numbers into
    text. One malformed date of a foreign instance makes it lose the whole list.
    """
    base = client.base_client
    read = base.deserialize_response_data

    def checked(data: bytes, kind: str, *words: Any) -> Any:
        if kind in {"object", "str"}:  # also for refusals, which may be an HTML page
            return read(data, kind, *words)
        body = json.loads(data)
        if not kind.startswith("list["):
            _check(body)
            return read(data, kind, *words)
        if not isinstance(body, list):
            raise TypeError("the answer is not a list")
        return [
            _entry(raw, partial(read, json.dumps([raw]).encode(), kind, *words)) for raw in body
        ]

    base.deserialize_response_data = checked
    return client


def _entry(raw: Any, read: Callable[[], Any]) -> Any:
    """The SDK's object for one entry of a list, or why the SDK cannot read it."""
    try:
        _check(raw)
    except ODD as error:
        return Unreadable(reason=reason_of(error), may_be_ours=True)
    try:
        (entry,) = read()
    except Exception as error:  # noqa: BLE001 -- the SDK raises plain exceptions for an odd date
        ours = read_owner(raw.get("freeformTags")) is not None
        return Unreadable(reason=reason_of(error), may_be_ours=ours)
    return entry


def _check(raw: Any) -> None:
    """Refuse an object whose id or tags are not text."""
    if not isinstance(raw, dict) or not raw:
        raise TypeError("the answer is not an object with values")
    tags = raw.get("freeformTags") or {}
    ours = [value for key, value in tags.items() if key.startswith("materia-")]
    if not all(isinstance(one, str | None) for one in (raw.get("id"), *ours)):
        raise TypeError("an id or a tag is not text")
