"""Scaleway API client: the SDK `scaleway` with request timeouts, retries and pagination.

scaleway 2.12 calls `requests.request` without a timeout and never retries. Its pagination
functions recurse until an empty page, and its `wait_instance_server` waits for factorials of
10 ms: materia uses neither.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import requests
from materia.errors import CredentialsError
from materia_http.environment import check_requests
from materia_providers.api_errors import retry_after
from materia_providers.polling import LONGEST_HEEDED
from scaleway import Client  # type: ignore[import-untyped]
from scaleway.block.v1 import BlockV1API  # type: ignore[import-untyped]
from scaleway.instance.v1.custom_api import InstanceUtilsV1API  # type: ignore[import-untyped]
from scaleway.marketplace.v2 import MarketplaceV2API  # type: ignore[import-untyped]
from scaleway_core.api import API, ScalewayException

from materia_scaleway.credentials import Credentials
from materia_scaleway.settings import Settings

T = TypeVar("T")
CONNECT_SECONDS = 5.0
# Refused before anything was done, or a gateway's error: a retry is safe except for a POST.
AGAIN = frozenset({429, 502, 503, 504})
PAGE_SIZE = 100


class Bounded(API):
    """Requests with a timeout; one that is safe to repeat has three tries."""

    session: requests.Session
    seconds: float = 30.0
    first_retry: float = 0.2

    def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
    ) -> requests.Response:
        sent = {"accept": "application/json", "user-agent": self.client.user_agent}
        if method in {"POST", "PUT", "PATCH"}:
            sent["Content-Type"] = "application/json; charset=utf-8"
        sent |= headers or {}
        if self.client.secret_key is not None:
            sent["x-auth-token"] = self.client.secret_key
        query = [
            # The SDK would write `False`, which the API does not read as a boolean.
            (name, str(item).lower() if isinstance(item, bool) else item)
            for name, value in (params or {}).items()
            if value is not None
            for item in (value if isinstance(value, list) else [value])
        ]
        # The API needs a body with every request; the SDK sends `{}`, too.
        raw = body if isinstance(body, bytes) else json.dumps({} if body is None else body)

        def ask() -> requests.Response:
            return self.session.request(
                method,
                f"{self.client.api_url}{path}",
                params=query,
                headers=sent,
                data=raw,
                timeout=(CONNECT_SECONDS, self.seconds),
                verify=not self.client.api_allow_insecure,
            )

        return _counted(_repeated(method, ask, self.first_retry))

    def read(self, path: str, **params: Any) -> Any:
        """The raw JSON of a list: the SDK's classes lose a page for one malformed entry."""
        response = self._request("GET", path, params=params)
        self._throw_on_error(response)
        return response.json()

    def entries(
        self, path: str, key: str, *, size: str = "per_page", **params: object
    ) -> list[dict[str, Any]]:
        """All entries of a list, as JSON.

        The SDK reads a missing list as an empty one, and fails on one malformed entry that is not
        materia's.

        Raises:
            TypeError: the answer is not a list of objects.
        """

        def page(number: int) -> tuple[list[dict[str, Any]], object]:
            asked = {"page": number, size: PAGE_SIZE, **params}
            response = self._request("GET", path, params=asked)
            self._throw_on_error(response)
            body = response.json()
            found = body[key]
            if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
                raise TypeError(f"{key} is not a list of objects")
            return found, body.get("total_count")

        return list(pages(page))

    def _throw_on_error(self, res: requests.Response) -> None:
        # The SDK's own raises JSONDecodeError for a gateway's HTML page and loses the status.
        if res.status_code >= 400:
            raise ScalewayException(res)


def _repeated(
    method: str, ask: Callable[[], requests.Response], first_pause: float
) -> requests.Response:
    for pause in (first_pause, 3 * first_pause):
        try:
            response = ask()
        except (requests.ConnectionError, requests.Timeout):
            if method == "POST":
                raise
        else:
            safe = response.status_code == 429 or method != "POST"
            wanted = retry_after(response.headers) or timedelta(0)
            if response.status_code not in AGAIN or not safe or wanted > LONGEST_HEEDED:
                return response
            pause = max(pause, wanted.total_seconds())  # noqa: PLW2901 -- the pause from Retry-After
        time.sleep(pause)
    return ask()


def _counted(response: requests.Response) -> requests.Response:
    """The answer, with the total from its header in the body, where the SDK expects it."""
    total = response.headers.get("x-total-count")
    if total is None:
        return response
    try:
        body = response.json()
    except ValueError:
        return response
    if isinstance(body, dict):
        body["total_count"] = int(total)
        response._content = json.dumps(body).encode()  # noqa: SLF001 -- as the SDK itself does
    return response


class Instances(Bounded, InstanceUtilsV1API):  # type: ignore[misc]  # the SDK is untyped
    """Servers and addresses."""


class Blocks(Bounded, BlockV1API):  # type: ignore[misc]  # the SDK is untyped
    """Block volumes."""


class Images(Bounded, MarketplaceV2API):  # type: ignore[misc]  # the SDK is untyped
    """Images by label."""


class Catalog(Bounded):
    """The public product catalog.

    Read as JSON: in the SDK's classes `shared: false` equals a missing field.
    """

    path = "/product-catalog/v2alpha1/public-catalog/products"

    def products(self, zone: str) -> list[dict[str, Any]]:
        """Every instance product of *zone*, whatever its status."""

        def page(number: int) -> tuple[Sequence[dict[str, Any]], object]:
            response = self._request(
                "GET",
                self.path,
                params={
                    "page": number,
                    "page_size": PAGE_SIZE,
                    "product_types": ["instance"],
                    "zone": zone,
                },
            )
            self._throw_on_error(response)
            body = response.json()
            return body["products"], body.get("total_count")

        return list(pages(page))


def pages(page: Callable[[int], tuple[Iterable[T], object]]) -> Iterator[T]:
    """The entries of all pages; *page* returns one page by number and the total, if it is known."""
    found, number = 0, 1
    before: list[T] = []
    while True:
        items, total = page(number)
        here = list(items)
        if here == before:  # empty, or a service without pages
            return
        yield from here
        found += len(here)
        if total is not None and found >= int(str(total)):
            return
        before, number = here, number + 1


@dataclass(frozen=True, slots=True)
class Apis:
    """All APIs, on one connection pool."""

    instances: Instances
    blocks: Blocks
    images: Images
    catalog: Catalog


def connect(client: Client, seconds: float, *, first_retry: float = 0.2) -> Apis:
    """The APIs for *client*; a request times out after *seconds*.

    A request that is safe to repeat is retried after *first_retry* seconds, and once more after
    three times as many.

    Raises:
        ValueError: the SDK refuses the format of a key. Its message has the key: do not print it.
        VariableError: a variable for proxies or certificates cannot be used.
    """
    check_requests(client.api_url, os.environ)
    session = requests.Session()
    public = client.secret_key is None
    found = [
        kind(client, bypass_validation=public) for kind in (Instances, Blocks, Images, Catalog)
    ]
    for api in found:
        api.session = session
        api.seconds = seconds
        api.first_retry = first_retry
    instances, blocks, images, catalog = found
    assert isinstance(instances, Instances)  # noqa: S101 -- the order of the line above
    assert isinstance(blocks, Blocks)  # noqa: S101 -- as above
    assert isinstance(images, Images)  # noqa: S101 -- as above
    assert isinstance(catalog, Catalog)  # noqa: S101 -- as above
    return Apis(instances, blocks, images, catalog)


def make_client(credentials: Credentials, settings: Settings) -> Client:
    """The SDK's client; a malformed key gives an error that does not show the key."""
    client = Client(
        access_key=credentials.access_key,
        secret_key=credentials.secret_key,
        default_project_id=settings.project or None,
        api_url=settings.api_url,
    )
    try:
        client.validate()
    except ValueError:
        raise CredentialsError(
            "scaleway: SCW_ACCESS_KEY must be SCW and 17 more characters, and SCW_SECRET_KEY a "
            "UUID; copy both again from IAM, API keys, in Scaleway's console"
        ) from None
    return client
