"""Artifacts in an S3 bucket: upload once under the hash, download on workers by presigned URL."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from materia.errors import ArtifactError, MissingSecretError, PluginError

from materia_runner.artifact.target import Artifact
from materia_runner.config.pipeline import Bucket
from materia_runner.install_hints import install_command
from materia_runner.secrets.redaction import BUCKET_KEYS

if TYPE_CHECKING:
    from materia_store.object_store import Patience, StoreClient

SESSION = "AWS_SESSION_TOKEN"  # of temporary credentials
VALID = timedelta(minutes=15)  # of a presigned URL; a worker uses it as soon as it is up
FOLDER = "sha256"
SUFFIX = ".tar.gz"
UPLOAD_LIMIT = timedelta(minutes=15)
REACH_LIMIT = timedelta(seconds=5)  # without a bucket, materia copies the artifact to the workers
RETRY_LIMIT = timedelta(minutes=2)
REFUSED = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "Unauthorized"})
ELSEWHERE = frozenset({"AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect"})
PROXY_ASKS = 407  # Proxy Authentication Required
WRITE = "write to"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """An artifact in the bucket."""

    sha256: str
    size: int
    pushed_at: datetime


class ArtifactBucket:
    """The artifacts in *bucket*.

    Raises:
        PluginError: obstore is not installed.
        ConfigError: the endpoint is not an address.
        MissingSecretError: the credentials are not in *environment*.
    """

    def __init__(
        self, bucket: Bucket, environment: Mapping[str, str], patience: Patience | None = None
    ) -> None:
        self._bucket = bucket
        missing = tuple(name for name in BUCKET_KEYS if not environment.get(name))
        if missing:
            raise MissingSecretError(f"the bucket {bucket.url}", missing)
        self._client = _open(bucket, environment, patience)

    def __str__(self) -> str:
        return self._bucket.url

    def push(self, artifact: Artifact) -> bool:
        """Upload an artifact; False when it exists already. It is never replaced.

        Raises:
            ArtifactError: the bucket cannot be written.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError

        path = _path(artifact.sha256)
        store = self._client.store

        def put() -> None:
            # In one request, because a multipart upload has no If-None-Match.
            with self._client.writing(path):
                obstore.put(store, path, artifact.path, mode="create", use_multipart=False)

        mine = False
        if (there := self._size(path)) is None:
            try:
                self._do(put, WRITE)
                mine = True
            except FileNotFoundError as error:
                raise ArtifactError(f"cannot {WRITE} {self}{self._reason(error)}") from error
            except AlreadyExistsError:  # another run was faster, or the answer was lost
                pass
            there = self._size(path)
        if there != artifact.size:
            raise ArtifactError(
                f"{self}/{path} is damaged: it has {there or 0} bytes and should have "
                f"{artifact.size}; delete it and run again"
            )
        return mine

    def _size(self, path: str) -> int | None:
        """Size of an object in bytes, or None when it does not exist."""
        import obstore

        try:
            return self._do(lambda: obstore.head(self._client.store, path)["size"], WRITE)
        except FileNotFoundError:
            return None

    def url(self, artifact: Artifact) -> str:
        """A presigned URL of the artifact, which works without credentials for 15 minutes."""
        import obstore

        path = _path(artifact.sha256)
        return self._do(
            lambda: str(obstore.sign(self._client.store, "GET", path, VALID)), "sign for"
        )

    def every(self) -> list[Pushed]:
        """List the artifacts in the bucket, newest first.

        Raises:
            ArtifactError: the bucket cannot be read.
        """
        from materia_store.object_listing import EndlessListingError, every_object

        client = self._client
        try:
            found = self._do(
                lambda: every_object(client.store, FOLDER, limit=client.list_limit), "list"
            )
        except FileNotFoundError as error:
            raise ArtifactError(f"cannot list {self}{self._reason(error)}") from error
        except EndlessListingError:
            raise ArtifactError(
                f"cannot list {self}: the store repeats the same list without end"
            ) from None
        pushed = [
            Pushed(sha256=match[1], size=one["size"], pushed_at=one["last_modified"])
            for one in found.values()
            if (match := re.fullmatch(rf"{FOLDER}/([0-9a-f]{{64}})\.tar\.gz", one["path"]))
        ]
        return sorted(pushed, key=lambda one: (one.pushed_at, one.sha256), reverse=True)

    def _do(self, call: Callable[[], T], what: str) -> T:
        """The result of *call*, with retries; *call* must be idempotent.

        Raises:
            FileNotFoundError: the object does not exist.
            AlreadyExistsError: the object exists already.
            ArtifactError: any other error.
        """
        from materia_store.object_store_errors import CLIENT_ERRORS, code_of
        from obstore.exceptions import AlreadyExistsError

        try:
            return self._client.repeat(call)
        except AlreadyExistsError:
            raise
        except (*CLIENT_ERRORS, OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError) and code_of(error) != "NoSuchBucket":
                raise
            raise ArtifactError(f"cannot {what} {self}{self._reason(error)}") from error

    def _reason(self, error: Exception) -> str:
        from materia_store.object_store_errors import code_of, proxy_problem, status_of, unanswered
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

        code, status, url = code_of(error), status_of(error), self._client.place.url
        refused = code in REFUSED or isinstance(
            error, (PermissionDeniedError, UnauthenticatedError)
        )
        elsewhere = self._client.redirect_of(error)
        cases = (
            (
                code == "NoSuchBucket" or isinstance(error, FileNotFoundError),
                "there is no such bucket",
            ),
            (code == "RequestTimeTooSkewed", "the clock of this machine is wrong"),
            (
                elsewhere is not None,
                f"{url} sends requests elsewhere, to {elsewhere}; set artifacts.endpoint",
            ),
            (
                refused,
                f"the store refused the credentials in {' and '.join(BUCKET_KEYS)}",
            ),
            (
                status in {301, 307, 308} or code in ELSEWHERE or "without LOCATION" in str(error),
                f"the bucket is not at {url}; set artifacts.region and artifacts.endpoint",
            ),
            (status == PROXY_ASKS, proxy_problem(url)),
            (status is not None, f"{url} answers {status} {code}".rstrip()),
        )
        said = next((words for applies, words in cases if applies), None)
        return f": {said or unanswered(error, url)}"


def _open(bucket: Bucket, environment: Mapping[str, str], patience: Patience | None) -> StoreClient:
    if importlib.util.find_spec("obstore") is None:
        raise PluginError(
            f"the bucket {bucket.url} needs obstore, which is not installed here; "
            f"to add it: {install_command('materia-runner[s3]')}"
        )
    from materia_store.object_store import BucketPrefix, Key, Patience, StoreClient

    name, _, prefix = bucket.url.removeprefix("s3://").partition("/")
    place = BucketPrefix(
        bucket=name,
        prefix=prefix,
        endpoint=bucket.endpoint,
        region=bucket.region or environment.get("AWS_REGION") or "us-east-1",
        table="artifacts",
    )
    key = Key(
        identity=environment[BUCKET_KEYS[0]],
        secret=environment[BUCKET_KEYS[1]],
        token=environment.get(SESSION) or None,
    )
    usual = Patience(request=UPLOAD_LIMIT, reach=REACH_LIMIT, overall=RETRY_LIMIT)
    return StoreClient(place, key, patience or usual)


def _path(sha256: str) -> str:
    return f"{FOLDER}/{sha256}{SUFFIX}"
