"""Translate what a provider's SDK raises into materia's errors."""

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
# Of the 4xx, those that are about the account, its rate or the moment, not about what is asked for.
NOT_ABOUT_THE_REQUEST = frozenset({401, 402, 403, 407, 408, 409, 423, 425, 429})


class GoneError(ProviderError):
    """There is no such thing, no right to see it, or it is not visible yet."""


class UnansweredError(ProviderError):
    """No answer, or none that can be read: whether the request was carried out is unknown."""


class NothingMadeError(ProviderError):
    """It failed, and it is certain that nothing was made."""


class BusyRateError(NothingMadeError):
    """Too many requests, or one that came too late: not carried out, and safe to repeat."""


class TakenError(ProviderError):
    """The name, or the key, is there already."""


@contextmanager
def translated(doing: str, *, provider: str, translate: Translate) -> Iterator[None]:
    """Let only materia's errors out of a block that calls an SDK or reads what it answered.

    Args:
        doing: What could not be done, on what: `create the server w1`.
        provider: Its plugin's name.
        translate: The error that an exception of the SDK is to a caller. None says that it has no
            meaning of its own: then the answer was nothing that can be read.
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
    """How long a service asks to wait, from its header Retry-After; None when it does not say."""
    given = headers or {}
    value = given.get("Retry-After") or given.get("retry-after")
    return http_dates.retry_after(None if value is None else str(value), now)


def refuses(status: int) -> bool:
    """Whether an HTTP status says no to what was asked for, and will do so again.

    To the request that creates a machine this means: this type cannot be rented in this place, and
    another offer may be.
    """
    return 400 <= status < 500 and status not in NOT_ABOUT_THE_REQUEST
