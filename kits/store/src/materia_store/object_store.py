"""The client of an S3 object store: built here, from what is declared and nothing else.

obstore takes every variable that begins with `AWS_` for a setting, and lets some of them outrank
what it is given (`AWS_ENDPOINT_URL_S3` replaces the endpoint). So it is built while none of them is
there: the settings decide which store is used, whatever else this machine has set.

It is also what repeats a request, by the clock: an overload that lasts minutes is waited for, and
an address where nothing ever answered is not.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from materia.errors import ConfigError
from obstore.store import S3Store

from materia_store.object_redirects import redirected_to
from materia_store.object_store_errors import (
    CLIENT_ERRORS,
    ClientPanicError,
    has_answered,
    is_odd,
    is_passing,
    status_of,
)

if TYPE_CHECKING:
    from obstore.store import RetryConfig, S3Credential

__all__ = [
    "BucketPrefix",
    "Key",
    "Patience",
    "StoreClient",
    "check_endpoint",
]

T = TypeVar("T")
PREFIX = "AWS_"  # of the variables that obstore reads; in any case, should it read more one day
WITHOUT_END = 100_000  # repetitions: it is the time that ends them
# Statuses of a request that was sent on, or lost its signature on the way; and of others.
SENT_ON = {301, 307, 308, 400, 401, 403}
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # without a single one there is no client
_environment = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a store is waited for.

    Attributes:
        connect: Until it takes a connection.
        request: Until one request is answered, wholly.
        reach: From the first failure, while the store has never answered, or what is no answer:
            then nothing is there, or something else.
        overall: From the first failure, when the store has answered before.
        pause: At most, before the first repetition; each next one is twice as long.
        longest: No pause is longer.
        apart: Between two writes to one name. R2 refuses a second one within a second ("Limits" in
            the R2 documentation: "concurrent writes to the same object name: 1 per second").
    """

    connect: timedelta = timedelta(seconds=10)
    request: timedelta = timedelta(seconds=120)
    reach: timedelta = timedelta(seconds=15)
    overall: timedelta = timedelta(minutes=4)
    pause: timedelta = timedelta(milliseconds=400)
    longest: timedelta = timedelta(seconds=20)
    apart: timedelta = timedelta(seconds=1.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketPrefix:
    """A bucket in a store, and what the names of all objects begin with.

    Attributes:
        bucket: Its name.
        prefix: Without slashes at either end; may be empty.
        endpoint: Address of the store, or None for that of AWS.
        region: As the store calls it.
        table: Of materia.toml, where these are set; stands in messages.
    """

    bucket: str
    prefix: str
    endpoint: str | None
    region: str
    table: str

    @property
    def url(self) -> str:
        """The endpoint that is asked, also when it is that of AWS."""
        return self.endpoint or f"https://s3.{self.region}.amazonaws.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What requests are signed with."""

    identity: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


class Waiting:
    """The repetitions of one thing that failed."""

    def __init__(self, patience: Patience, has_answered: Callable[[], bool]) -> None:
        self._patience = patience
        self._has_answered = has_answered
        self._since: float | None = None
        self._pause = patience.pause.total_seconds()

    def again(self, error: BaseException) -> bool:
        """Wait a while before the next try; False when the store was waited for long enough."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        patience = self._patience
        there = self._has_answered() and not is_odd(error)
        limit = patience.overall if there else patience.reach
        if now - self._since >= limit.total_seconds():
            return False
        # Apart from others that were refused in the same moment.
        time.sleep(self._pause * random.uniform(0.5, 1))  # noqa: S311 -- no secret
        self._pause = min(2 * self._pause, patience.longest.total_seconds())
        return True


class StoreClient:
    """An obstore client of one bucket, and how long its store is waited for."""

    def __init__(self, place: BucketPrefix, key: Key, patience: Patience) -> None:
        """Nothing is asked before the first call.

        Raises:
            ConfigError: the endpoint is no address.
        """
        check_endpoint(place.endpoint, f"{place.table}.endpoint")
        self.place = place
        self._key = key
        self._patience = patience
        self._answered = False
        self._written: dict[str, float] = {}  # when a name was last written to, or will be
        self._turns = threading.Lock()

    @cached_property
    def store(self) -> S3Store:
        """For calls that `repeat` repeats."""
        return self._open({"max_retries": 0, "retry_timeout": timedelta(0)})

    @cached_property
    def enduring(self) -> S3Store:
        """For uploads in parts, of which each has to be repeated alone."""
        patience = self._patience
        return self._open(
            {
                "max_retries": WITHOUT_END,
                "retry_timeout": patience.overall,
                "backoff": {
                    "init_backoff": patience.pause,
                    "max_backoff": patience.longest,
                    "base": 2,
                },
            }
        )

    @property
    def list_limit(self) -> timedelta:
        """How long a thousand lines of a listing may take."""
        return self._patience.overall + self._patience.request

    def redirect_of(self, error: BaseException) -> str | None:
        """The host that the store sends requests on to, when that may be behind *error*."""
        return self._elsewhere if status_of(error) in SENT_ON else None

    @cached_property
    def _elsewhere(self) -> str | None:
        return redirected_to(self.place.url, self.place.bucket)

    def waiting(self) -> Waiting:
        """For a call whose repetition is more than the same call."""
        return Waiting(self._patience, lambda: self._answered)

    def once(self, call: Callable[[], T]) -> T:
        """What *call* gives.

        Raises:
            Exception: one of `CLIENT_ERRORS`.
        """
        try:
            result = call()
        except CLIENT_ERRORS as error:
            self._answered = self._answered or has_answered(error)
            raise
        except BaseException as error:
            if type(error).__name__ == "PanicException":  # no Exception, and its class has no name
                raise ClientPanicError(str(error)) from None
            raise
        self._answered = True
        return result

    def repeat(self, call: Callable[[], T]) -> T:
        """What *call* gives, which may be done twice.

        Raises:
            Exception: one of `CLIENT_ERRORS`, which will not pass or did not in time.
        """
        waiting = self.waiting()
        while True:
            try:
                return self.once(call)
            except CLIENT_ERRORS as error:
                if not (is_passing(error) and waiting.again(error)):
                    raise

    @contextmanager
    def writing(self, name: str) -> Iterator[None]:
        """Wait until *name* may be written to; it is, until the block ends."""
        apart = self._patience.apart.total_seconds()
        with self._turns:
            now = time.monotonic()
            turn = max(now, self._written.get(name, now - apart) + apart)
            self._written[name] = turn
        time.sleep(turn - now)
        try:
            yield
        finally:
            self._written[name] = time.monotonic()

    def _open(self, retry: RetryConfig) -> S3Store:
        place, key, patience = self.place, self._key, self._patience

        def credential() -> S3Credential:
            return {
                "access_key_id": key.identity,
                "secret_access_key": key.secret,
                "token": key.token,
                "expires_at": None,
            }

        def build() -> S3Store:
            return S3Store(
                place.bucket,
                prefix=place.prefix or None,
                region=place.region,
                endpoint=place.url,
                credential_provider=credential,
                skip_signature=False,
                conditional_put="etag",
                virtual_hosted_style_request=False,
                # Many stores refuse DeleteObjects, and one object's answer may stand for another's.
                disable_bulk_delete=True,
                client_options={
                    "allow_http": place.url.startswith("http://"),
                    "connect_timeout": patience.connect,
                    "timeout": patience.request,
                },
                retry_config=retry,
            )

        with _without_variables():
            try:
                return build()
            except CLIENT_ERRORS as error:
                raise _unusable(place, error) from None
            except BaseException as error:
                if type(error).__name__ == "PanicException":
                    raise _unusable(place, error) from None
                raise


def check_endpoint(endpoint: str | None, setting: str) -> None:
    """See that it is an address of a server and nothing more.

    Raises:
        ConfigError: it is not; *setting* is named, and the address is not, as it may hold a secret.
    """
    if endpoint is None:
        return
    wrong = ConfigError(f'{setting} must be an address like "https://s3.example.com"')
    if not endpoint.isascii() or not endpoint.isprintable() or " " in endpoint:
        raise wrong
    try:
        split = urlsplit(endpoint)
        port = split.port
    except ValueError:
        raise wrong from None
    if split.scheme not in {"https", "http"} or not split.hostname or split.fragment:
        raise wrong
    if port == 0 or split.netloc.endswith(":") or "@" in split.netloc:
        raise wrong


def _unusable(place: BucketPrefix, error: BaseException) -> ConfigError:
    reason = str(error).partition("\n")[0]
    said = [f"{name} ({os.environ[name]})" for name in CERTIFICATES if os.environ.get(name)]
    cure = f"correct {' and '.join(said)}, or " if said else ""
    return ConfigError(
        f"s3://{place.bucket}: no client can be made for the store at {place.url} ({reason}); "
        f"{cure}correct the settings of [{place.table}]"
    )


@contextmanager
def _without_variables() -> Iterator[None]:
    """Take variables out of sight of libraries that are not Python's; `os.environ` keeps them."""
    with _environment:
        names = [name for name in os.environ if name.upper().startswith(PREFIX)]
        for name in names:
            os.unsetenv(name)
        try:
            yield
        finally:
            for name in names:
                if (value := os.environ.get(name)) is not None:
                    os.putenv(name, value)
