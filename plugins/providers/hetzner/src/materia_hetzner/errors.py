"""What goes wrong with Hetzner, in materia's words: the one place where its errors are translated.

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

# The offer cannot be had now: the next one is tried.
CAPACITY = frozenset(
    {
        "resource_unavailable",
        "resource_limit_exceeded",
        "placement_error",
        "no_space_left_in_location",
    }
)
CREDENTIALS: dict[int | str, str] = {
    "unauthorized": "HCLOUD_TOKEN is not accepted; make one in the project's Security settings",
    401: "HCLOUD_TOKEN is not accepted; make one in the project's Security settings",
    "token_readonly": "HCLOUD_TOKEN may only read; make one with Read & Write",
    "forbidden": "HCLOUD_TOKEN may not do this; make one with Read & Write",
    403: "HCLOUD_TOKEN may not do this; make one with Read & Write",
}
# The service said no before anything was made. After any other error something may have been.
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
# Codes that say nothing about what was asked for: the same request may be answered later.
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
    """The error that *error* is to a caller; None when it has no meaning of its own."""
    if isinstance(error, APIException):
        return _of_api(error, doing)
    if isinstance(error, ActionException):
        failure = error.action.error
        code, message = (failure["code"], failure["message"]) if failure else ("", error.message)
        kind = CapacityError if code in CAPACITY else ProviderError
        return kind(f"hetzner: cannot {doing}: {message} ({code})")
    if isinstance(error, requests.exceptions.InvalidHeader | UnicodeEncodeError):
        # Named by its kind alone: the message has the token in it.
        return CredentialsError(
            f"hetzner: cannot {doing}: HCLOUD_TOKEN has a character that no token has, such as a "
            "space or the end of a line; copy it again"
        )
    if isinstance(error, requests.exceptions.RequestException):
        reason = connection_text(error)
    elif isinstance(error, HCloudException):
        reason = f"{type(error).__name__}: {error}"
    elif isinstance(error, ArithmeticError | LookupError | TypeError | ValueError | AttributeError):
        # The SDK takes answers apart without looking: another service than Hetzner's has answered.
        reason = f"the answer is not one of Hetzner's API: {error!r}"
    else:
        return None
    return ProviderError(f"hetzner: cannot {doing}: {reason}")


def _of_api(error: APIException, doing: str) -> MateriaError:
    if isinstance(error.code, int) and error.code < 400:
        # The SDK takes the status for the code where a body is not JSON.
        return ProviderError(f"hetzner: cannot {doing}: the answer is not JSON")
    told = f"{error.message} ({error.code})" if error.message else f"error {error.code}"
    if error.correlation_id:
        told += f", correlation id {error.correlation_id}"
    message = f"hetzner: cannot {doing}: {told}"
    if error.code in CAPACITY:
        return CapacityError(message)
    if error.code in CREDENTIALS:
        return CredentialsError(f"{message}; {CREDENTIALS[error.code]}")
    if error.code == "uniqueness_error":
        return TakenError(message)
    return NothingMadeError(message) if error.code in REFUSED else ProviderError(message)


def refuses_offer(error: BaseException | None) -> bool:
    """Whether the answer to a create says no to that type in that place.

    The rest of the request is the same for every offer. So a refusal whose code is not one of the
    account's, of a rate or of a fault is taken for one of the type, the place or the image there:
    `invalid_input` came for "unsupported location for server type", and new codes will come.
    """
    if not isinstance(error, APIException):
        return False
    if isinstance(error.code, int):
        return api_errors.refuses(error.code)
    return error.code not in PASSING and error.code not in CREDENTIALS
