"""Artifacts in an S3 bucket: upload once under the hash, download on workers by presigned URL."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, TYPE_CHECKING, TypeVar

from materia.errors import ArtifactError, MissingSecretError, PluginError

from materia_runner.artifact.target import Artifact
from materia_runner.config.pipeline import Bucket
from materia_runner.install_hints import install_command

if TYPE_CHECKING:
    from materia_store.object_store import Patience, StoreClient
    from obstore import ObjectMeta, PutMode

SESSION = "AWS_SESSION_TOKEN"  # of temporary credentials in the usual variables
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
CHUNK = 1 << 20  # bytes
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """An artifact in the bucket."""

    sha256: str
    size: int
    pushed_at: datetime


class TooLargeError(ArtifactError):
    """An object is longer than anything that materia writes there."""


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
        missing = tuple(name for name in bucket.keys if not environment.get(name))
        if missing:
            raise MissingSecretError(f"the bucket {bucket.url}", missing)
        self.client = _open(bucket, environment, patience)

    def __str__(self) -> str:
        return self._bucket.url

    def push(self, artifact: Artifact, *, refresh_before: datetime | None = None) -> bool:
        """Upload an artifact; False when it exists already. Other bytes never replace it.

        Args:
            artifact: The artifact.
            refresh_before: Upload the same bytes again when the object is older, so that
                `materia artifact prune` takes it for new.

        Raises:
            ArtifactError: the bucket cannot be written.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError

        path = object_name(artifact.sha256)
        store = self.client.store
        mode: PutMode = "create"

        def put() -> None:
            # In one request, because a multipart upload has no If-None-Match.
            with self.client.writing(path):
                obstore.put(store, path, artifact.path, mode=mode, use_multipart=False)

        mine = False
        there, written = self.look(path)
        if written and refresh_before and there == artifact.size and written < refresh_before:
            mode = "overwrite"
            self.do(put, WRITE)
        elif there is None:
            try:
                self.do(put, WRITE)
                mine = True
            except FileNotFoundError as error:
                raise ArtifactError(f"cannot {WRITE} {self}{self.reason(error)}") from error
            except AlreadyExistsError:  # another run was faster, or the answer was lost
                pass
            there, _ = self.look(path)
        if there != artifact.size:
            raise ArtifactError(
                f"{self}/{path} is damaged: it has {there or 0} bytes and should have "
                f"{artifact.size}; delete it and run again"
            )
        return mine

    def look(self, path: str) -> tuple[int | None, datetime | None]:
        """Size of an object in bytes, and when it was written; None when it does not exist."""
        import obstore

        try:
            meta = self.do(lambda: obstore.head(self.client.store, path), WRITE)
        except FileNotFoundError:
            return None, None
        return meta["size"], meta["last_modified"]

    def fetch(self, sha256: str, size: int, to: IO[bytes]) -> None:
        """Download an artifact, and check its size and its hash.

        Raises:
            ArtifactError: it does not exist, has other bytes than its name says, or cannot be
                written to *to*.
        """
        import obstore

        path = object_name(sha256)

        def get() -> str:
            to.seek(0)
            to.truncate()
            digest = hashlib.sha256()
            for chunk in obstore.get(self.client.store, path).stream(min_chunk_size=CHUNK):
                digest.update(chunk)
                if to.tell() + len(chunk) > size:
                    return ""
                try:
                    to.write(chunk)
                except OSError as error:  # this machine's, not the store's
                    raise ArtifactError(
                        f"cannot keep {self}/{path} here: {error.strerror or error}"
                    ) from error
            return digest.hexdigest()

        try:
            found = self.do(get, "read")
        except FileNotFoundError as error:
            raise ArtifactError(f"{self}/{path} does not exist; push again") from error
        if found != sha256:
            raise ArtifactError(
                f"{self}/{path} is damaged: it has other bytes than its name says; delete it and "
                "push again"
            )

    def read(self, path: str, *, longest: int) -> tuple[bytes | None, str | None]:
        """The bytes and the ETag of a small object; None and None when it does not exist.

        Raises:
            ArtifactError: the bucket cannot be read.
            TooLargeError: the object is longer than *longest* bytes.
        """
        import obstore

        def get() -> tuple[bytes, str | None]:
            result = obstore.get(self.client.store, path)
            if result.meta["size"] > longest:
                raise TooLargeError(f"{self}/{path} is damaged: it is too large; delete it")
            return bytes(result.bytes()), result.meta["e_tag"]

        try:
            return self.do(get, "read")
        except FileNotFoundError:
            return None, None

    def write(self, path: str, content: bytes, mode: PutMode = "overwrite") -> None:
        """Write a small object, on the condition of *mode*.

        Raises:
            AlreadyExistsError: the object exists, and *mode* is `create`.
            PreconditionError: the object has another ETag than that of *mode*.
            FileNotFoundError: the object of that ETag is gone.
            ArtifactError: the bucket cannot be written.
        """
        import obstore

        def put() -> None:
            with self.client.writing(path):
                obstore.put(self.client.store, path, content, mode=mode, use_multipart=False)

        self.do(put, WRITE)

    def swap(self, path: str, content: bytes, etag: str | None, *, longest: int) -> bool:
        """Write a small object in place of the one that `read` returned with *etag*.

        False when another writer was faster; nothing is written then. After a lost answer it reads
        the object, because the write that is refused may be a second one of the same bytes.

        Args:
            path: Name of the object, below the prefix.
            content: The new bytes; no other writer writes the same ones.
            etag: ETag of the object to replace, or None for a new one.
            longest: As of `read`.

        Raises:
            ArtifactError: the bucket cannot be written.
        """
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            self.write(path, content, "create" if etag is None else {"e_tag": etag})
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            return self.read(path, longest=longest)[0] == content
        return True

    def delete(self, path: str) -> None:
        """Delete an object; nothing happens when it does not exist.

        Raises:
            ArtifactError: the bucket cannot be written.
        """
        import obstore

        with suppress(FileNotFoundError):
            self.do(lambda: obstore.delete(self.client.store, path), "delete from")

    def url(self, artifact: Artifact) -> str:
        """A presigned URL of the artifact, which works without credentials for 15 minutes."""
        import obstore

        path = object_name(artifact.sha256)
        return self.do(lambda: str(obstore.sign(self.client.store, "GET", path, VALID)), "sign for")

    def every(self) -> list[Pushed]:
        """List the artifacts in the bucket, newest first.

        Raises:
            ArtifactError: the bucket cannot be read.
        """
        pushed = [
            Pushed(sha256=match[1], size=one["size"], pushed_at=one["last_modified"])
            for path, one in self.listed(FOLDER).items()
            if (match := re.fullmatch(rf"{FOLDER}/([0-9a-f]{{64}})\.tar\.gz", path))
        ]
        return sorted(pushed, key=lambda one: (one.pushed_at, one.sha256), reverse=True)

    def listed(self, folder: str) -> Mapping[str, ObjectMeta]:
        """The objects below *folder*, by name.

        Raises:
            ArtifactError: the bucket cannot be read.
        """
        from materia_store.object_listing import EndlessListingError, every_object

        client = self.client
        try:
            return self.do(
                lambda: every_object(client.store, folder, limit=client.list_limit), "list"
            )
        except FileNotFoundError as error:
            raise ArtifactError(f"cannot list {self}{self.reason(error)}") from error
        except EndlessListingError:
            raise ArtifactError(
                f"cannot list {self}: the store repeats the same list without end"
            ) from None

    def do(self, call: Callable[[], T], what: str) -> T:
        """The result of *call*, with retries; *call* must be idempotent.

        Raises:
            FileNotFoundError: the object does not exist.
            AlreadyExistsError: the object exists already.
            PreconditionError: the object is another than the condition names.
            ArtifactError: any other error.
        """
        from materia_store.object_store_errors import CLIENT_ERRORS, code_of
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            return self.client.repeat(call)
        except (AlreadyExistsError, PreconditionError):
            raise
        except (*CLIENT_ERRORS, OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError) and code_of(error) != "NoSuchBucket":
                raise
            raise ArtifactError(f"cannot {what} {self}{self.reason(error)}") from error

    def reason(self, error: Exception) -> str:
        """Why a request failed, for a message: `: ` and the words."""
        from materia_store.object_store_errors import code_of, proxy_problem, status_of, unanswered
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

        code, status, url = code_of(error), status_of(error), self.client.place.url
        refused = code in REFUSED or isinstance(
            error, (PermissionDeniedError, UnauthenticatedError)
        )
        elsewhere = self.client.redirect_of(error)
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
                f"the store refused the credentials in {' and '.join(self._bucket.keys)}",
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
    identity, secret = bucket.keys
    key = Key(
        identity=environment[identity],
        secret=environment[secret],
        token=None if bucket.own_key else environment.get(SESSION) or None,
    )
    usual = Patience(request=UPLOAD_LIMIT, reach=REACH_LIMIT, overall=RETRY_LIMIT)
    return StoreClient(place, key, patience or usual)


def object_name(sha256: str) -> str:
    """Name of the object of an artifact, below the prefix."""
    return f"{FOLDER}/{sha256}{SUFFIX}"
