"""The SDK's clients, with deadlines and without its retries.

oci has 244 MB and imports in a second, so nothing here is imported before the provider is opened.
With a retry strategy of its own it would repeat `Out of host capacity`, which comes as HTTP 500.
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
from materia_providers.labels import read_mark
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
        return polling.again(
            lambda: self.once(doing, call),
            passing=may_pass,
            first_pause=timedelta(seconds=self.first_retry),
        )

    def every(
        self, doing: str, call: Callable[..., Any], left: LeftOut | None = None, /, **options: Any
    ) -> list[Any]:
        """Everything on all pages of a list operation.

        *left* takes note of an entry that the SDK cannot read. Without it, a stranger's is passed
        over.

        Raises:
            UnansweredError: there is one that may be materia's, and no *left*: the list is not
                whole.
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
                elif one.may_be_ours:
                    raise UnansweredError(f"oracle: {doing}: an entry cannot be read: {one.reason}")
            if not answer.has_next_page:
                return found
            options["page"] = answer.next_page


def may_pass(error: ProviderError) -> bool:
    """Whether the same request may be answered later."""
    return isinstance(error, UnansweredError | BusyRateError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """An entry of a list that the SDK made nothing of.

    Attributes:
        reason: Why.
        may_be_ours: Whether it carries materia's tags, or its tags cannot be read.
    """

    reason: str
    may_be_ours: bool


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
            compute=_checking(ComputeClient(given, **options)),
            volumes=_checking(BlockstorageClient(given, **options)),
            network=_checking(VirtualNetworkClient(given, **options)),
            identity=_checking(IdentityClient(given, **options)),
            first_retry=first_retry,
        )


def _checking(client: Any) -> Any:
    """A client of the SDK that looks at an answer before it makes objects of it.

    The SDK makes an empty list of `{}`, an object without values of anything, and texts of
    numbers; and one odd date of a stranger's instance costs the whole list.
    """
    base = client.base_client
    read = base.deserialize_response_data

    def checked(data: bytes, kind: str, *words: Any) -> Any:
        if kind in {"object", "str"}:  # also of refusals, which may be a page
            return read(data, kind, *words)
        body = json.loads(data)
        if not kind.startswith("list["):
            _check(body)
            return read(data, kind, *words)
        if not isinstance(body, list):
            raise TypeError("the answer is no list")
        return [
            _entry(raw, partial(read, json.dumps([raw]).encode(), kind, *words)) for raw in body
        ]

    base.deserialize_response_data = checked
    return client


def _entry(raw: Any, read: Callable[[], Any]) -> Any:
    """What the SDK makes of one entry of a list, or why it cannot be read."""
    try:
        _check(raw)
    except ODD as error:
        return Unreadable(reason=reason_of(error), may_be_ours=True)
    try:
        (entry,) = read()
    except Exception as error:  # noqa: BLE001 -- the SDK raises plain exceptions for an odd date
        ours = read_mark(raw.get("freeformTags")) is not None
        return Unreadable(reason=reason_of(error), may_be_ours=ours)
    return entry


def _check(raw: Any) -> None:
    """Refuse an object whose identity or marks were not sent as text."""
    if not isinstance(raw, dict) or not raw:
        raise TypeError("the answer is no object with values")
    tags = raw.get("freeformTags") or {}
    marks = [value for key, value in tags.items() if key.startswith("materia-")]
    if not all(isinstance(one, str | None) for one in (raw.get("id"), *marks)):
        raise TypeError("an identity or a tag is no text")
