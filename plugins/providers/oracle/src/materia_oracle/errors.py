"""Translate the errors of Oracle's SDK, `oci`, into materia's: capacity, credentials, rate limit.

No exception of the SDK leaves this package.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from materia.errors import CapacityError, CredentialsError, MateriaError, ProviderError
from materia_providers import api_errors
from materia_providers.api_errors import BusyRateError, GoneError, UnansweredError
from materia_providers.connection_errors import connection_text
from oci import exceptions  # type: ignore[import-untyped]

# From Oracle's "API errors" page and reports of users: LimitExceeded also comes when nothing runs.
CAPACITY = frozenset({"LimitExceeded", "QuotaExceeded", "OutOfCapacity", "OutOfHostCapacity"})
CREDENTIALS = frozenset({"NotAuthenticated", "NotAllowed", "SignUpRequired"})
NO_CAPACITY = "out of host capacity"
# Every exception class of the installed version of the SDK.
SDK_ERRORS = tuple(
    found
    for found in vars(exceptions).values()
    if isinstance(found, type) and issubclass(found, Exception)
)


def translated(doing: str) -> AbstractContextManager[None]:
    """Let only materia's errors out of calls of the SDK; *doing* is the failed action."""
    return api_errors.translated(doing, provider="oracle", translate=translate)


def translate(error: Exception, doing: str) -> MateriaError:
    """The error of materia for the SDK's *error*."""
    kind = type(error).__name__
    if isinstance(error, exceptions.ServiceError):
        return _refusal(doing, error)
    if isinstance(error, exceptions.ClientError):
        return CredentialsError(
            f"oracle: cannot {doing}: the SDK does not accept the credentials ({kind}); check "
            "OCI_CLI_USER, OCI_CLI_TENANCY, OCI_CLI_FINGERPRINT, OCI_CLI_KEY_CONTENT and "
            "OCI_CLI_REGION"
        )
    if isinstance(error, SDK_ERRORS):
        return UnansweredError(f"oracle: cannot {doing}: no answer: {connection_text(error)}")
    # The SDK does not check an answer before it reads it.
    return UnansweredError(f"oracle: cannot {doing}: the answer cannot be read ({kind}: {error})")


def _refusal(doing: str, error: exceptions.ServiceError) -> ProviderError:
    status, code = error.status, str(error.code)
    message = str(error.message or "").strip()
    # A gateway's page has no code, and the SDK returns the whole page as the message.
    known = message and error.code
    said = f"oracle: cannot {doing}: {f'{code}: {message}' if known else f'HTTP {status}'}"
    # Missing capacity is HTTP 500, InternalError: only the text differs from a fault.
    if code in CAPACITY or NO_CAPACITY in message.lower():
        return CapacityError(said)
    if code in CREDENTIALS or status in {401, 403}:
        return CredentialsError(
            f"{said}; check OCI_CLI_USER, OCI_CLI_TENANCY, OCI_CLI_FINGERPRINT, "
            "OCI_CLI_KEY_CONTENT, this machine's clock, and the user's policies"
        )
    if status == 429:
        return BusyRateError(said, retry_after=api_errors.retry_after(error.headers))
    # A gateway's 404 has no code, and says nothing about the resource.
    if status == 404 and known:
        return GoneError(said)
    if status is None or status >= 500 or status == 404:
        return UnansweredError(said)
    return ProviderError(said)


def refuses_offer(error: BaseException | None) -> bool:
    """Whether Oracle refuses to launch that shape in that availability domain.

    The rest of the request is the same for every offer, so a refusal is about the shape or the
    domain. A 404 is not: it also means a missing subnet or a missing permission.
    """
    if not isinstance(error, exceptions.ServiceError) or not isinstance(error.status, int):
        return False
    return error.status != 404 and api_errors.refuses(error.status)
