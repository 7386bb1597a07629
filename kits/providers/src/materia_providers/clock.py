"""Clock skew: read a provider's clock from the Date header of its API and compare it with ours.

A deadline compared with a wrong clock destroys the machine of a live run, or leaves an orphan
running. RFC 9110, section 6.6.1, requires every server with a clock to send the header.
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

# Two correct clocks differ by the header's whole seconds and by the time the answer takes.
TOLERANCE = timedelta(minutes=5)
TIMEOUT = timedelta(seconds=10)
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTime:
    """The current time by a provider's clock, and the skew of this computer's clock.

    Attributes:
        now: Time by the provider's clock, or by this computer's when the provider's is unknown.
        off: How far this computer's clock is ahead; negative when it is behind, zero when the
            provider's is unknown.
    """

    now: datetime
    off: timedelta = timedelta(0)

    @property
    def is_off(self) -> bool:
        """Whether this computer's clock is too far off to set a deadline."""
        return abs(self.off) > TOLERANCE

    def sentence(self, provider: str) -> str:
        """A sentence for people: how far this computer's clock is off, and how to set it."""
        side = "ahead of" if self.off > timedelta(0) else "behind"
        minutes = round(abs(self.off) / timedelta(minutes=1))
        length = f"{minutes} min" if minutes < 120 else f"{round(abs(self.off) / HOUR)} h"
        return (
            f"{provider}: the clock of this computer is {length} {side} the provider's; "
            "set it, for example with `timedatectl set-ntp true`"
        )


def read_date_header(url: str) -> datetime | None:
    """Read the Date header of the answer to a HEAD request, in UTC; None when there is none.

    The status does not matter, and no credentials are sent. It takes 10 s at most.
    """
    if not url.startswith(("https://", "http://")):
        return None
    try:
        return http_moment(_date_header(url))
    # No network, or an unusable address, proxy or answer, such as a date in the year 99999.
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
    """The time by the clock of *provider*, or by *clock* when the provider has none."""
    theirs = _asked(provider)
    ours = clock()
    if theirs is None:
        return ProviderTime(now=ours)
    return ProviderTime(now=theirs, off=ours - theirs)


def _asked(provider: Provider) -> datetime | None:
    """The time by the clock of *provider*, or None when it does not return a usable one.

    A plugin may have an attribute `clock` that is something else, or that fails. Neither may stop
    a sweep: it then uses the clock of this computer.
    """
    if not isinstance(provider, HasClock):
        return None
    try:
        said: object = provider.clock()
    except Exception:  # noqa: BLE001 -- a broken clock must not stop a sweep
        return None
    return said if isinstance(said, datetime) and said.utcoffset() is not None else None


def check_clock(provider: Provider, name: str) -> None:
    """Check that the clock of this computer is right enough to set deadlines.

    Raises:
        ConfigError: it is more than 5 minutes off the clock of the provider *name*.
    """
    time = provider_time(provider)
    if time.is_off:
        raise ConfigError(f"{time.sentence(name)}. Nothing was rented")
