"""S3 client for a bucket, with retry and backoff; settings come from materia.toml alone.

obstore reads every variable that begins with `AWS_`, and some of them override its arguments
(`AWS_ENDPOINT_URL_S3` replaces the endpoint). So the client is built while these variables are
hidden: the settings decide which store is used, whatever else this machine has set.

Retries are limited by time: the client waits out an overload of minutes, but gives up soon on an
address that never answered.
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
    "Waiting",
    "check_endpoint",
]

T = TypeVar("T")
PREFIX = "AWS_"  # of the variables that obstore reads, in upper or lower case
WITHOUT_END = 100_000  # retries: the time limit ends them
# Statuses that a redirect may cause: the redirect itself, or a request without its signature.
SENT_ON = {301, 307, 308, 400, 401, 403}
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # obstore makes no client without a certificate
_environment = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Timeouts and retry backoff for an object store.

    Attributes:
        connect: Timeout of a connection.
        request: Timeout of one request with its whole answer.
        reach: How long to retry after the first failure, when the store has never given a valid
            answer.
        overall: How long to retry after the first failure, when the store has answered before.
        pause: Longest pause before the first retry; each later one doubles.
        longest: Longest pause of all.
        apart: Pause between two writes to one name. R2 refuses a second one within a second
            ("Limits" in the R2 documentation: "concurrent writes to the same object name: 1 per
            second").
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
    """A bucket of a store, with the prefix of all object names.

    Attributes:
        bucket: Name of the bucket.
        prefix: Prefix without slashes at either end; may be empty.
        endpoint: Address of the store; None means AWS.
        region: The store's name of the region.
        table: Table of materia.toml with these settings, for messages.
    """

    bucket: str
    prefix: str
    endpoint: str | None
    region: str
    table: str

    @property
    def url(self) -> str:
        """The endpoint; for AWS, the one of the region."""
        return self.endpoint or f"https://s3.{self.region}.amazonaws.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Access key of an object store, which signs the requests."""

    identity: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


class Waiting:
    """Backoff: the retries of one failed call, with growing pauses."""

    def __init__(self, patience: Patience, has_answered: Callable[[], bool]) -> None:
        self._patience = patience
        self._has_answered = has_answered
        self._since: float | None = None
        self._pause = patience.pause.total_seconds()

    def again(self, error: BaseException) -> bool:
        """Wait before the next retry; False when the time for retries is over."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        patience = self._patience
        there = self._has_answered() and not is_odd(error)
        limit = patience.overall if there else patience.reach
        if now - self._since >= limit.total_seconds():
            return False
        # Jitter: not at the same moment as other clients that were refused together.
        time.sleep(self._pause * random.uniform(0.5, 1))  # noqa: S311 -- no secret
        self._pause = min(2 * self._pause, patience.longest.total_seconds())
        return True


class StoreClient:
    """An obstore client of one bucket, with timeouts and retries."""

    def __init__(self, place: BucketPrefix, key: Key, patience: Patience) -> None:
        """Check the endpoint; send no request yet.

        Raises:
            ConfigError: the endpoint is not an address.
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
        """Client without retries of its own, for calls that `repeat` retries."""
        return self._open({"max_retries": 0, "retry_timeout": timedelta(0)})

    @cached_property
    def enduring(self) -> S3Store:
        """Client with retries of its own, for multipart uploads: it retries each part alone."""
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
        """How long a page of a listing, a thousand lines, may take."""
        return self._patience.overall + self._patience.request

    def redirect_of(self, error: BaseException) -> str | None:
        """The host that the store redirects to, when a redirect may have caused *error*."""
        return self._elsewhere if status_of(error) in SENT_ON else None

    @cached_property
    def _elsewhere(self) -> str | None:
        return redirected_to(self.place.url, self.place.bucket)

    def waiting(self) -> Waiting:
        """Backoff for a caller that retries by itself, because each retry is another call."""
        return Waiting(self._patience, lambda: self._answered)

    def once(self, call: Callable[[], T]) -> T:
        """The result of *call*, without a retry.

        Raises:
            Exception: one of `CLIENT_ERRORS`.
        """
        try:
            result = call()
        except CLIENT_ERRORS as error:
            self._answered = self._answered or has_answered(error)
            raise
        except BaseException as error:
            if type(error).__name__ == "PanicException":  # not an Exception, and cannot be imported
                raise ClientPanicError(str(error)) from None
            raise
        self._answered = True
        return result

    def repeat(self, call: Callable[[], T]) -> T:
        """The result of *call*, retried while its errors are temporary; *call* must be idempotent.

        Raises:
            Exception: one of `CLIENT_ERRORS`, permanent or still there when the time is over.
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
        """Wait until *name* may be written again (rate limit), and write it in the block."""
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
                # Many stores refuse DeleteObjects, and an answer may be about another object.
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
    """Check that *endpoint* is the address of a server, without user, password or fragment.

    Raises:
        ConfigError: it is not; the message names *setting* but not the address, which may hold a
            secret.
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
        f"s3://{place.bucket}: cannot make a client for the store at {place.url} ({reason}); "
        f"{cure}correct the settings of [{place.table}]"
    )


@contextmanager
def _without_variables() -> Iterator[None]:
    """Hide the AWS_ variables from native libraries for a moment; `os.environ` keeps them."""
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
