"""What the SDK raises, as materia's errors. Nothing of the SDK leaves this package.

Scaleway's SDK has one exception for every refusal; what it means is in the JSON body.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
from materia.connection import connection_text
from materia.entries import ODD
from materia.errors import CapacityError, CredentialsError, ProviderError
from scaleway_core.api import ScalewayException


class GoneError(ProviderError):
    """There is no such thing, or not yet: a new instance may be invisible for a moment."""


class UnansweredError(ProviderError):
    """No answer, or none that can be read: whether the request was carried out is unknown."""


CREDENTIALS = frozenset({"denied_authentication", "permissions_denied"})
CAPACITY = frozenset({"quotas_exceeded", "out_of_stock"})
# A gateway in front of the API may have passed the request on before it gave up.
UNKNOWN_OUTCOME = frozenset({500, 502, 503, 504})


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what the SDK raises while *doing* something into one of materia's errors.

    Only calls of the SDK belong inside: it raises TypeError for a body it cannot read.
    """
    try:
        yield
    except ScalewayException as error:
        raise _refusal(doing, error) from error
    except requests.RequestException as error:
        raise UnansweredError(f"scaleway: {doing}: {_connection(error)}") from error
    except ODD as error:
        raise UnansweredError(f"scaleway: {doing}: the answer cannot be read: {error}") from error


def _refusal(doing: str, error: ScalewayException) -> ProviderError:
    status = error.response.status_code
    body = _body(error.response)
    kind = str(body.get("type", ""))
    said = _said(body) or f"HTTP {status}"
    # The older form of a quota has no type of its own, only its sentence.
    full = kind == "invalid_request_error" and "quota" in str(body.get("message", "")).lower()
    if kind in CAPACITY or full:
        return CapacityError(f"scaleway: {doing}: {said}")
    if kind in CREDENTIALS or status in {401, 403}:
        return CredentialsError(
            f"scaleway: {doing}: {said}; check SCW_ACCESS_KEY, SCW_SECRET_KEY and the rights of "
            "that key in the project"
        )
    if status == 404:
        return GoneError(f"scaleway: {doing}: {said}")
    if status in UNKNOWN_OUTCOME:
        return UnansweredError(f"scaleway: {doing}: {said}")
    return ProviderError(f"scaleway: {doing}: {said}")


def _body(response: requests.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _said(body: Mapping[str, Any]) -> str:
    parts = [str(body[key]) for key in ("type", "message", "help_message") if body.get(key)]
    if resource := body.get("resource"):
        parts.append(" ".join(str(part) for part in (resource, body.get("resource_id")) if part))
    details = body.get("details")
    parts += [
        " ".join(str(value) for value in detail.values())
        for detail in (details if isinstance(details, list) else ())
        if isinstance(detail, dict)
    ]
    return ", ".join(parts)


def _connection(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.JSONDecodeError):
        return "the answer is not JSON"
    return connection_text(error)
