"""JSON over HTTP with the standard library: one request, its answer, or one of materia's errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from materia.errors import CapacityError, CredentialsError, ProviderError

from materia_providers.api_errors import (
    BusyRateError,
    NothingMadeError,
    TakenError,
    UnansweredError,
    refuses,
    retry_after,
)
from materia_providers.connection_errors import connection_text

__all__ = ["JsonApi", "Refusal"]

Refusal = type[CapacityError] | type[CredentialsError] | type[NothingMadeError] | type[TakenError]
READABLE = 300  # characters of a refusal's body that a message shows


class _NoRedirects(HTTPRedirectHandler):
    """An API has no reason to redirect, and the token must not go to another address."""

    def redirect_request(self, *_: object) -> None:
        """Raise the redirection as an HTTPError."""


class JsonApi:
    """A client of a provider's API that sends and gets JSON objects.

    It uses the proxy and the certificates that the environment names, as Python does. It retries
    nothing: `materia_providers.api.machines` and `polling` decide what is safe to repeat.
    """

    def __init__(
        self,
        provider: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: timedelta,
        meaning: Callable[[int, Any], Refusal | None],
        remedy: str,
    ) -> None:
        """Make the client; this sends nothing.

        Args:
            provider: Name of the provider's plugin.
            url: Address of the API, without a slash at the end.
            headers: Headers of each request, with the credentials.
            timeout: Time limit for each read from the connection.
            meaning: Takes the status and the decoded body of a refusal, and returns what the API
                means by it, or None for what the status means everywhere. CapacityError makes
                materia take the next offer.
            remedy: What to do about refused credentials, for the message.
        """
        self.provider = provider
        self.url = url
        self._headers = {"Content-Type": "application/json", **headers}
        self._seconds = timeout.total_seconds()
        self._meaning = meaning
        self._remedy = remedy
        self._opener = build_opener(_NoRedirects)

    def ask(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> dict[str, Any] | None:
        """Send one request; the answer, `{}` for an empty one, or None for status 404.

        Raises:
            CapacityError, CredentialsError, TakenError: as *meaning* has it, or by the status.
            BusyRateError: the rate limit; it has the service's Retry-After.
            NothingMadeError: the service refuses the request for good.
            UnansweredError: no answer, or an unreadable one: the request may have had its effect.
        """
        what = f"{self.provider}: {method} {path}"
        try:
            request = Request(  # noqa: S310 -- the address is the plugin's own, or the user's
                f"{self.url}{path}",
                method=method,
                data=None if body is None else json.dumps(body).encode(),
                headers=self._headers,
            )
            with self._opener.open(request, timeout=self._seconds) as answer:
                content = answer.read()
            found = json.loads(content) if content.strip() else {}
        except HTTPError as error:
            if error.code == 404:
                error.close()
                return None
            raise self._refusal(error, what) from error
        except UnicodeError as error:
            # The error's own message contains the header, so it is left out.
            raise CredentialsError(
                f"{what}: the credentials or the answer contain a character that is not allowed; "
                f"{self._remedy}"
            ) from error
        except (OSError, HTTPException) as error:
            raise UnansweredError(f"{what}: {connection_text(error, self.url)}") from error
        except (ValueError, RecursionError) as error:
            raise UnansweredError(f"{what}: the answer is not JSON") from error
        if not isinstance(found, dict):
            raise UnansweredError(f"{what}: the answer is not a JSON object")
        return found

    def _refusal(self, error: HTTPError, what: str) -> ProviderError:
        try:
            text = error.read().decode("utf-8", "replace")
        except (OSError, HTTPException):
            text = ""
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = None  # a page of a gateway
        shown = " ".join(text.split())[:READABLE] if body is not None else "an unreadable page"
        message = f"{what} was refused with {error.code}: {shown}"
        kind: type[ProviderError] = (
            self._meaning(error.code, body) if body is not None else None
        ) or _usual(error.code)
        wait = retry_after(dict(error.headers))
        if kind is CredentialsError:
            message += f"; {self._remedy}"
        return kind(message, retry_after=wait)


def _usual(status: int) -> type[ProviderError]:
    """What an HTTP status means where the API does not say more."""
    if status in {401, 403}:
        return CredentialsError
    if status == 429:
        return BusyRateError
    return NothingMadeError if refuses(status) else UnansweredError
