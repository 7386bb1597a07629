"""Translate the errors of Scaleway's SDK into materia's: out of stock, quota, credentials.

No exception of the SDK leaves this package. It has one exception for every refusal; the JSON body
says what the refusal means.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import requests
from materia.errors import (
    CapacityError,
    ConfigError,
    CredentialsError,
    MateriaError,
    ProviderError,
)
from materia_providers import api_errors
from materia_providers.api_errors import GoneError, UnansweredError
from materia_providers.connection_errors import connection_text
from scaleway_core.api import ScalewayException

CREDENTIALS = frozenset({"denied_authentication", "permissions_denied"})
CAPACITY = frozenset({"quotas_exceeded", "out_of_stock"})
# A gateway in front of the API may have passed the request on before it gave up.
UNKNOWN_OUTCOME = frozenset({500, 502, 503, 504})


def translated(doing: str) -> AbstractContextManager[None]:
    """Let only materia's errors out of calls of the SDK; *doing* is the failed action."""
    return api_errors.translated(doing, provider="scaleway", translate=translate)


def translate(error: Exception, doing: str) -> MateriaError:
    """The error of materia for the SDK's *error*."""
    if isinstance(error, ScalewayException):
        return _refusal(doing, error)
    if isinstance(error, requests.RequestException):
        return UnansweredError(f"scaleway: cannot {doing}: {_connection(error)}")
    # The SDK does not check an answer before it reads it.
    reason = f"{type(error).__name__}: {error}"
    return UnansweredError(f"scaleway: cannot {doing}: the answer cannot be read ({reason})")


def _refusal(doing: str, error: ScalewayException) -> MateriaError:
    status = error.response.status_code
    body = _body(error.response)
    kind = str(body.get("type", ""))
    said = _said(body) or f"HTTP {status}"
    message = f"scaleway: cannot {doing}: {said}"
    # The older form of a quota error has no type of its own, only its message.
    full = kind == "invalid_request_error" and "quota" in str(body.get("message", "")).lower()
    if kind in CAPACITY or full:
        return CapacityError(message)
    if kind in CREDENTIALS or status in {401, 403}:
        return CredentialsError(
            f"{message}; check SCW_ACCESS_KEY, SCW_SECRET_KEY and the rights of that key in the "
            "project"
        )
    if status in {400, 404} and "project" in _subjects(body):
        return ConfigError(
            f"{message}; providers.scaleway.project names no project of this account"
        )
    # A gateway's 404 has no such body, and says nothing about the resource.
    if status == 404 and body:
        return GoneError(message)
    if status in UNKNOWN_OUTCOME or status == 404:
        return UnansweredError(message)
    return ProviderError(message, retry_after=api_errors.retry_after(error.response.headers))


def _subjects(body: Mapping[str, Any]) -> set[str]:
    """The subjects of a refusal: a kind of resource, or arguments of the request."""
    details = body.get("details")
    arguments = [
        detail.get("argument_name")
        for detail in (details if isinstance(details, list) else ())
        if isinstance(detail, dict)
    ]
    return {str(one) for one in (body.get("resource"), *arguments)}


def refuses_offer(error: BaseException | None) -> bool:
    """Whether Scaleway refuses to create that type in that zone.

    The rest of the request is the same for every offer, so a refusal is about the type or the zone.
    """
    return isinstance(error, ScalewayException) and api_errors.refuses(error.response.status_code)


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
