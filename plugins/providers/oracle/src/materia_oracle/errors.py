"""What the SDK raises, as materia's errors. Nothing of the SDK leaves this package."""

from __future__ import annotations

from contextlib import AbstractContextManager

from materia.errors import CapacityError, CredentialsError, MateriaError, ProviderError
from materia_providers import api_errors
from materia_providers.api_errors import BusyRateError, GoneError, UnansweredError
from materia_providers.connection_errors import connection_text
from oci import exceptions  # type: ignore[import-untyped]

# Oracle's "API errors" page, and what its users met: LimitExceeded also when nothing runs.
CAPACITY = frozenset({"LimitExceeded", "QuotaExceeded", "OutOfCapacity", "OutOfHostCapacity"})
CREDENTIALS = frozenset({"NotAuthenticated", "NotAllowed", "SignUpRequired"})
NO_CAPACITY = "out of host capacity"
# Everything the SDK can raise, whatever this version of it brings.
SDK_ERRORS = tuple(
    found
    for found in vars(exceptions).values()
    if isinstance(found, type) and issubclass(found, Exception)
)


def translated(doing: str) -> AbstractContextManager[None]:
    """Let only materia's errors out of calls of the SDK; *doing* names what was asked."""
    return api_errors.translated(doing, provider="oracle", translate=translate)


def translate(error: Exception, doing: str) -> MateriaError:
    """The error that *error* is to a caller."""
    kind = type(error).__name__
    if isinstance(error, exceptions.ServiceError):
        return _refusal(doing, error)
    if isinstance(error, exceptions.ClientError):
        return CredentialsError(
            f"oracle: {doing}: the SDK does not take the credentials ({kind}); check "
            "OCI_CLI_USER, OCI_CLI_TENANCY, OCI_CLI_FINGERPRINT, OCI_CLI_KEY_CONTENT and "
            "OCI_CLI_REGION"
        )
    if isinstance(error, SDK_ERRORS):
        return UnansweredError(f"oracle: {doing}: no answer: {connection_text(error)}")
    # The SDK takes answers apart without looking.
    return UnansweredError(f"oracle: {doing}: the answer cannot be read ({kind}: {error})")


def _refusal(doing: str, error: exceptions.ServiceError) -> ProviderError:
    status, code = error.status, str(error.code)
    message = str(error.message or "").strip()
    # A gateway's page has no code, and the SDK gives all of it as the message.
    known = message and error.code
    said = f"oracle: {doing}: {code}: {message}" if known else f"oracle: {doing}: HTTP {status}"
    # Capacity comes as HTTP 500, InternalError: only the sentence tells it from a fault.
    if code in CAPACITY or NO_CAPACITY in message.lower():
        return CapacityError(said)
    if code in CREDENTIALS or status in {401, 403}:
        return CredentialsError(
            f"{said}; check OCI_CLI_USER, OCI_CLI_TENANCY, OCI_CLI_FINGERPRINT, "
            "OCI_CLI_KEY_CONTENT, this machine's clock, and the user's policies"
        )
    if status == 429:
        return BusyRateError(said, retry_after=api_errors.retry_after(error.headers))
    # A gateway's 404 has no code, and says nothing of what was asked for.
    if status == 404 and known:
        return GoneError(said)
    if status is None or status >= 500 or status == 404:
        return UnansweredError(said)
    return ProviderError(said)


def refuses_offer(error: BaseException | None) -> bool:
    """Whether the answer to a launch says no to that shape in that domain.

    The rest of the request is the same for every offer, so that is what a refusal is about. A 404
    is not: it also means a subnet, or a right, that is lacking.
    """
    if not isinstance(error, exceptions.ServiceError) or not isinstance(error.status, int):
        return False
    return error.status != 404 and api_errors.refuses(error.status)
