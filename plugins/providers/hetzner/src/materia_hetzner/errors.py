"""Translate the errors of Hetzner's API and SDK into materia's: capacity, token, rate limit.

Codes as in the API reference (docs.hetzner.cloud, "Error codes", 2026-08) and in hcloud-go's
error.go. `resource_unavailable` for a sold-out type was seen on the real service as HTTP 412.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import requests
from hcloud import APIException, HCloudException
from hcloud.actions import ActionException
from materia.errors import CapacityError, CredentialsError, MateriaError, ProviderError
from materia_providers import api_errors
from materia_providers.api_errors import NothingMadeError, TakenError
from materia_providers.connection_errors import connection_text

# The offer is not available now: failover tries the next one.
CAPACITY = frozenset(
    {
        "resource_unavailable",
        "resource_limit_exceeded",
        "placement_error",
        "no_space_left_in_location",
    }
)
CREDENTIALS: dict[int | str, str] = {
    "unauthorized": "HCLOUD_TOKEN is not valid; create a token in the project's Security settings",
    401: "HCLOUD_TOKEN is not valid; create a token in the project's Security settings",
    "token_readonly": "HCLOUD_TOKEN is read-only; create a token with Read & Write",
    "forbidden": "HCLOUD_TOKEN has no permission for this; create a token with Read & Write",
    403: "HCLOUD_TOKEN has no permission for this; create a token with Read & Write",
}
# Hetzner refused before it made anything. After any other error it may have made something.
REFUSED = (
    CAPACITY
    | set(CREDENTIALS)
    | {
        "conflict",
        "invalid_input",
        "json_error",
        "locked",
        "maintenance",
        "not_found",
        "rate_limit_exceeded",
        "unsupported_error",
    }
)
# Codes that are not about the request itself: the same request may succeed later.
PASSING = frozenset(
    {
        "bad_gateway",
        "conflict",
        "locked",
        "maintenance",
        "rate_limit_exceeded",
        "robot_unavailable",
        "server_error",
        "service_error",
        "timeout",
        "unavailable",
        "uniqueness_error",
    }
)


def translated(doing: str) -> AbstractContextManager[None]:
    """Let only materia's errors out; *doing* says what could not be done, on what."""
    return api_errors.translated(doing, provider="hetzner", translate=translate)


def translate(error: Exception, doing: str) -> MateriaError | None:
    """The error of materia for the SDK's *error*; None when there is no special one."""
    if isinstance(error, APIException):
        return _of_api(error, doing)
    if isinstance(error, ActionException):
        failure = error.action.error
        code, message = (failure["code"], failure["message"]) if failure else ("", error.message)
        kind = CapacityError if code in CAPACITY else ProviderError
        return kind(f"hetzner: cannot {doing}: {message} ({code})")
    if isinstance(error, requests.exceptions.InvalidHeader | UnicodeEncodeError):
        # The error's own message contains the token, so it is left out.
        return CredentialsError(
            f"hetzner: cannot {doing}: HCLOUD_TOKEN contains a character that no token has, such "
            "as a space or a line end; copy it again"
        )
    if isinstance(error, requests.exceptions.RequestException):
        reason = connection_text(error)
    elif isinstance(error, HCloudException):
        reason = f"{type(error).__name__}: {error}"
    elif isinstance(error, ArithmeticError | LookupError | TypeError | ValueError | AttributeError):
        # The SDK does not check answers: this one came from another service than Hetzner's.
        reason = f"the answer is not one of Hetzner's API: {error!r}"
    else:
        return None
    return ProviderError(f"hetzner: cannot {doing}: {reason}")


def _of_api(error: APIException, doing: str) -> MateriaError:
    if isinstance(error.code, int) and error.code < 400:
        # The SDK uses the status as the code when a body is not JSON.
        return ProviderError(f"hetzner: cannot {doing}: the answer is not JSON")
    reason = f"{error.message} ({error.code})" if error.message else f"error {error.code}"
    if error.correlation_id:
        reason += f", correlation id {error.correlation_id}"
    message = f"hetzner: cannot {doing}: {reason}"
    if error.code in CAPACITY:
        return CapacityError(message)
    if error.code in CREDENTIALS:
        return CredentialsError(f"{message}; {CREDENTIALS[error.code]}")
    if error.code == "uniqueness_error":
        return TakenError(message)
    return NothingMadeError(message) if error.code in REFUSED else ProviderError(message)


def refuses_offer(error: BaseException | None) -> bool:
    """Whether Hetzner refuses to create that type in that location.

    The rest of the request is the same for every offer. So a refusal whose code is not about the
    account, a rate limit or a fault counts as one of the type, the location or the image there:
    `invalid_input` came for "unsupported location for server type", and new codes will come.
    """
    if not isinstance(error, APIException):
        return False
    if isinstance(error.code, int):
        return api_errors.refuses(error.code)
    return error.code not in PASSING and error.code not in CREDENTIALS
