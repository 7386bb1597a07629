"""API errors: translate an SDK's exceptions into materia's; rate limit, not found, conflict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

from materia.errors import MateriaError, ProviderError
from materia.kit import http_dates

__all__ = [
    "BusyRateError",
    "GoneError",
    "NothingMadeError",
    "TakenError",
    "UnansweredError",
    "refuses",
    "retry_after",
    "translated",
]

Translate = Callable[[Exception, str], MateriaError | None]
# Client errors about the account, the rate limit or the moment, not about the request itself.
NOT_ABOUT_THE_REQUEST = frozenset({401, 402, 403, 407, 408, 409, 423, 425, 429})


class GoneError(ProviderError):
    """Not found: it does not exist, the account may not see it, or it is not visible yet."""


class UnansweredError(ProviderError):
    """No answer, or an unreadable one: it is unknown whether the request took effect."""


class NothingMadeError(ProviderError):
    """The request failed, and certainly created nothing."""


class BusyRateError(NothingMadeError):
    """Rate limit: the provider did not carry out the request, so it is safe to retry."""


class TakenError(ProviderError):
    """Conflict: the name, or the key, exists already."""


@contextmanager
def translated(doing: str, *, provider: str, translate: Translate) -> Iterator[None]:
    """Turn every exception of a block that calls an SDK into one of materia's errors.

    Args:
        doing: The action and its object, for the message: `create the server w1`.
        provider: Name of the provider's plugin.
        translate: Function from an exception of the SDK to materia's error. None means that the
            exception has no special meaning: the message then says that the answer is unreadable.
    """
    try:
        yield
    except MateriaError:
        raise
    except Exception as error:
        known = translate(error, doing)
        if known is None:
            known = ProviderError(
                f"{provider}: cannot {doing}: the answer cannot be read "
                f"({type(error).__name__}: {error})"
            )
        raise known from error


def retry_after(headers: Mapping[str, str] | None, now: datetime | None = None) -> timedelta | None:
    """How long a service asks to wait in its Retry-After header; None without one."""
    given = headers or {}
    value = given.get("Retry-After") or given.get("retry-after")
    return http_dates.retry_after(None if value is None else str(value), now)


def refuses(status: int) -> bool:
    """Whether an HTTP status refuses the request for good, so that a retry is useless.

    After a request to create a machine it means that this type cannot be rented in this region, but
    another offer may work.
    """
    return 400 <= status < 500 and status not in NOT_ABOUT_THE_REQUEST
