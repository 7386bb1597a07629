"""A provider's own clock, read from the Date header of its API, and how far ours is off.

A deadline that is compared with a wrong clock destroys the machine of a run that is alive, or
leaves one running. RFC 9110, section 6.6.1, has every server with a clock send the header.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from materia.errors import ConfigError
from materia.kit.http_dates import http_moment
from materia.protocols import HasClock, Provider

__all__ = [
    "read_date_header",
]

# Between two right clocks lie the whole seconds of the header and the way of the answer.
TOLERANCE = timedelta(minutes=5)
TIMEOUT = timedelta(seconds=10)
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTime:
    """What time it is.

    Attributes:
        now: By the provider's clock, or by this computer's when the provider's is not known.
        off: How far this computer's clock is ahead; negative when it is behind, zero when the
            provider's is not known.
    """

    now: datetime
    off: timedelta = timedelta(0)

    @property
    def is_off(self) -> bool:
        """Whether this computer's clock is too wrong to set a deadline by it."""
        return abs(self.off) > TOLERANCE

    def sentence(self, provider: str) -> str:
        """How far this computer's clock is off, and what to do about it."""
        side = "ahead of" if self.off > timedelta(0) else "behind"
        minutes = round(abs(self.off) / timedelta(minutes=1))
        length = f"{minutes} min" if minutes < 120 else f"{round(abs(self.off) / HOUR)} h"
        return (
            f"{provider}: the clock of this computer is {length} {side} the provider's; "
            "set it, for example with `timedatectl set-ntp true`"
        )


def read_date_header(url: str) -> datetime | None:
    """The Date header of the answer to a HEAD request, in UTC; None when there is none.

    The status does not matter, and no credentials are sent. Takes 10 s at most.
    """
    if not url.startswith(("https://", "http://")):
        return None
    try:
        return http_moment(_date_header(url))
    # No network, an odd address, an odd proxy, an odd answer: a date in the year 99999, say.
    except (OSError, HTTPException, ArithmeticError, TypeError, ValueError):
        return None


def _date_header(url: str) -> str:
    request = Request(url, method="HEAD", headers={"User-Agent": "materia"})  # noqa: S310 -- checked
    try:
        with urlopen(request, timeout=TIMEOUT.total_seconds()) as answer:  # noqa: S310 -- checked
            return str(answer.headers.get("Date", ""))
    except HTTPError as error:
        with error:
            return str(error.headers.get("Date", "")) if error.headers else ""


def provider_time(
    provider: Provider, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> ProviderTime:
    """The time by the clock of *provider*, or by *clock* where it shows none."""
    theirs = _asked(provider)
    ours = clock()
    if theirs is None:
        return ProviderTime(now=ours)
    return ProviderTime(now=theirs, off=ours - theirs)


def _asked(provider: Provider) -> datetime | None:
    """What *provider* says, when that is a moment.

    A plugin may have a `clock` of its own that is something else, or one that fails. Neither may
    end a sweep: without the provider's clock, that of this computer counts.
    """
    if not isinstance(provider, HasClock):
        return None
    try:
        said: object = provider.clock()
    except Exception:  # noqa: BLE001 -- whatever a plugin raises, its machines can be swept
        return None
    return said if isinstance(said, datetime) and said.utcoffset() is not None else None


def check_clock(provider: Provider, name: str) -> None:
    """Do nothing when deadlines may be set by the clock of this computer.

    Raises:
        ConfigError: it is more than 5 minutes off that of the provider *name*.
    """
    time = provider_time(provider)
    if time.is_off:
        raise ConfigError(f"{time.sentence(name)}. Nothing was rented")
