"""What the SDK raises, as materia's errors. Nothing of the SDK leaves this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from materia.connection import connection_text
from materia.errors import CapacityError, CredentialsError, ProviderError
from oci import exceptions  # type: ignore[import-untyped]


class GoneError(ProviderError):
    """There is no such thing, no right to see it, or it is not visible yet."""


class UnansweredError(ProviderError):
    """No answer, or none that can be read: whether the request was carried out is unknown."""


class BusyRateError(ProviderError):
    """Too many requests: this one was not carried out."""


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


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what the SDK raises while *doing* something into one of materia's errors.

    Only calls of the SDK belong inside: it raises ValueError, TypeError or AttributeError for a
    body it cannot read.
    """
    try:
        yield
    except exceptions.ServiceError as error:
        raise _refusal(doing, error) from error
    except exceptions.ClientError as error:
        raise CredentialsError(
            f"oracle: {doing}: the SDK does not take the credentials ({type(error).__name__}); "
            "check OCI_CLI_USER, OCI_CLI_TENANCY, OCI_CLI_FINGERPRINT, OCI_CLI_KEY_CONTENT and "
            "OCI_CLI_REGION"
        ) from error
    except SDK_ERRORS as error:
        reason = connection_text(error)
        raise UnansweredError(f"oracle: {doing}: no answer: {reason}") from error
    except (ValueError, TypeError, AttributeError) as error:
        kind = type(error).__name__
        raise UnansweredError(f"oracle: {doing}: the answer cannot be read ({kind})") from error


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
    if status == 404:
        return GoneError(said)
    if status == 429:
        return BusyRateError(said)
    if status is None or status >= 500:
        return UnansweredError(said)
    return ProviderError(said)
