"""Translate the errors of OVHcloud's SDK into materia's: stock, quota, credentials, rate limit.

The SDK has a class for some HTTP statuses and `errorCode`s and raises APIError for all others.
OVHcloud has published no error body for missing stock or quota, so this matches their messages.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager

from materia.errors import (
    CapacityError,
    ConfigError,
    CredentialsError,
    MateriaError,
)
from materia_providers import api_errors
from materia_providers.api_errors import (
    BusyRateError,
    NothingMadeError,
    TakenError,
    UnansweredError,
)
from materia_providers.connection_errors import connection_text
from ovh import exceptions  # type: ignore[import-untyped]  # the SDK has no types
from requests.exceptions import InvalidHeader, RequestException

CAPACITY = re.compile(
    r"quota|no valid host|stock|capacity|not enough (resources|hosts)|exceeds? .*limit",
    re.IGNORECASE,
)
TOKEN = "create one at https://api.ovh.com/createToken"  # noqa: S105 -- an address, not a token
CREDENTIALS: dict[type[exceptions.APIError], str] = {
    exceptions.InvalidKey: f"OVH_APPLICATION_KEY is not valid; {TOKEN}",
    exceptions.InvalidCredential: f"OVH_CONSUMER_KEY is not valid; {TOKEN}",
    exceptions.NotCredential: f"OVH_CONSUMER_KEY is not valid or has expired; {TOKEN}",
    exceptions.NotGrantedCall: (
        f"OVH_CONSUMER_KEY lacks a right: GET, POST and DELETE on /cloud/project/*; {TOKEN}"
    ),
    exceptions.Forbidden: "the account has no permission for this",
    exceptions.OAuth2FailureError: "OVHcloud does not accept the service account",
}
# OVHcloud refused before it made anything. After any other error it may have made something.
REFUSED = (
    exceptions.BadParametersError,
    exceptions.ResourceConflictError,
    exceptions.ResourceExpiredError,
    exceptions.ResourceNotFoundError,
    exceptions.ReadOnlyError,
)
CONFIGURATION = (exceptions.InvalidConfiguration, exceptions.InvalidRegion)


def translated(doing: str) -> AbstractContextManager[None]:
    """Let only materia's errors out; *doing* says what could not be done, on what."""
    return api_errors.translated(doing, provider="ovh", translate=translate)


def translate(error: Exception, doing: str) -> MateriaError | None:
    """The error of materia for the SDK's *error*; None when there is no special one."""
    cause = error
    if isinstance(error, exceptions.HTTPError) and len(error.args) > 1:
        cause = error.args[1]
    if isinstance(cause, InvalidHeader | UnicodeEncodeError):
        # The error's own message contains the key, so it is left out.
        return CredentialsError(
            f"ovh: cannot {doing}: OVH_APPLICATION_KEY or OVH_CONSUMER_KEY contains a character "
            "that no key has, such as a space or a line end; copy them again"
        )
    if isinstance(error, exceptions.HTTPError):
        return UnansweredError(f"ovh: cannot {doing}: {connection_text(cause)}")
    if isinstance(error, exceptions.APIError):
        return _of_api(error, doing)
    if isinstance(error, RequestException):
        return UnansweredError(f"ovh: cannot {doing}: {connection_text(error)}")
    if isinstance(error, ArithmeticError | AttributeError | LookupError | TypeError | ValueError):
        # The SDK does not check answers: this one came from another service than OVHcloud's.
        return UnansweredError(
            f"ovh: cannot {doing}: the answer is not one of OVHcloud's: {error!r}"
        )
    return None


def _of_api(error: exceptions.APIError, doing: str) -> MateriaError:
    status = error.response.status_code if error.response is not None else 0
    reason = " ".join(str(argument) for argument in error.args if argument)
    details = [f"HTTP {status}"] if status else []
    details += [f"query {error.query_id}"] if error.query_id else []
    reason = f"{reason or 'no reason given'} ({', '.join(details) or type(error).__name__})"
    message = f"ovh: cannot {doing}: {reason}"
    if isinstance(error, CONFIGURATION):
        return ConfigError(
            f"{message}; materia signs with OVH_APPLICATION_KEY, so OVH_CLIENT_ID must not be set"
        )
    if is_project_missing(error):
        return ConfigError(
            f"{message}; providers.ovh.project in materia.toml names no project of this account"
        )
    if CAPACITY.search(reason):
        return CapacityError(message)
    if remedy := _remedy(error, status, reason):
        return CredentialsError(f"{message}; {remedy}")
    return _refusal(error, status, message)


def _refusal(error: exceptions.APIError, status: int, message: str) -> MateriaError:
    """The error for a refusal that is not about the account or capacity."""
    if isinstance(error, exceptions.ResourceConflictError):
        return TakenError(message)
    if status == 400 and "out of time" in message.lower():
        return BusyRateError(message)  # not carried out; a retry has a new signature
    if status == 429:
        return BusyRateError(message, retry_after=api_errors.retry_after(error.response.headers))
    if isinstance(error, REFUSED) or api_errors.refuses(status):
        return NothingMadeError(message)
    return UnansweredError(message)


def is_project_missing(error: exceptions.APIError) -> bool:
    """Whether a 404 is about the project itself and not about a resource in it."""
    missing = isinstance(error, exceptions.ResourceNotFoundError)
    return missing and "service does not exist" in str(error.args[:1]).lower()


def refuses_offer(error: BaseException | None) -> bool:
    """Whether OVHcloud refuses to create that flavor in that region.

    The rest of the request is the same for every offer, so a refusal is about flavor or region.
    """
    if not isinstance(error, exceptions.APIError) or error.response is None:
        return False
    return api_errors.refuses(error.response.status_code)


def _remedy(error: exceptions.APIError, status: int, reason: str) -> str:
    """The remedy for refused credentials; empty for another error."""
    for kind, remedy in CREDENTIALS.items():
        if isinstance(error, kind):
            return remedy
    if isinstance(error, exceptions.BadParametersError) and "signature" in reason.lower():
        return "OVH_APPLICATION_SECRET does not belong to OVH_APPLICATION_KEY"
    return "the account has no permission for this" if status in {401, 403} else ""
