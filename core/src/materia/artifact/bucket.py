"""Artifacts in an S3 bucket: written once under their hash, fetched by workers with signed URLs."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from materia.artifact.target import Artifact
from materia.errors import ArtifactError, MissingSecretError, PluginError
from materia.pipeline import Bucket
from materia.secrets import BUCKET_KEYS

if TYPE_CHECKING:
    from obstore.store import S3Store

SESSION = "AWS_SESSION_TOKEN"  # with credentials that end by themselves
VALID = timedelta(minutes=15)  # of a signed URL; it is fetched as soon as the machine is up
FOLDER = "sha256"
SUFFIX = ".tar.gz"
UPLOAD_LIMIT = timedelta(minutes=15)
CONNECT_LIMIT = timedelta(seconds=10)
RETRY_LIMIT = timedelta(seconds=20)
REFUSED = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "Unauthorized"})
_CODE = re.compile(r"<Code>(\w+)</Code>")


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
        MissingSecretError: the credentials are not in *environment*.
    """

    def __init__(self, bucket: Bucket, environment: Mapping[str, str]) -> None:
        self._bucket = bucket
        missing = tuple(name for name in BUCKET_KEYS if not environment.get(name))
        if missing:
            raise MissingSecretError(f"the bucket {bucket.url}", missing)
        self._store = _open(bucket, environment)

    def __str__(self) -> str:
        return self._bucket.url

    def push(self, artifact: Artifact) -> bool:
        """Put it there; False when it is there already. It is never replaced.

        Raises:
            ArtifactError: the bucket cannot be written to.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError

        path = _path(artifact.sha256)
        with self._translated("write to"):
            try:
                there = obstore.head(self._store, path)["size"]
            except FileNotFoundError:
                there = None
        if there is None:
            with self._translated("write to"):
                try:
                    # In one request, as several cannot say If-None-Match.
                    obstore.put(
                        self._store, path, artifact.path, mode="create", use_multipart=False
                    )
                except AlreadyExistsError:  # another run was quicker
                    return False
                return True
        if there != artifact.size:
            raise ArtifactError(
                f"{self}/{path} has {there} bytes and should have {artifact.size}; delete it"
            )
        return False

    def url(self, artifact: Artifact) -> str:
        """An address that gives the artifact to anyone who asks within 15 minutes."""
        import obstore

        return str(obstore.sign(self._store, "GET", _path(artifact.sha256), VALID))

    def every(self) -> list[Pushed]:
        """What is in the bucket, the newest first.

        Raises:
            ArtifactError: the bucket cannot be read.
        """
        import obstore

        with self._translated("list"):
            found = obstore.list(self._store, f"{FOLDER}/").collect()
        pushed = [
            Pushed(sha256=match[1], size=one["size"], pushed_at=one["last_modified"])
            for one in found
            if (match := re.fullmatch(rf"{FOLDER}/([0-9a-f]{{64}})\.tar\.gz", one["path"]))
        ]
        return sorted(pushed, key=lambda one: (one.pushed_at, one.sha256), reverse=True)

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            text = str(error)
            code = _CODE.search(text)  # S3's word for it, that a list request does not make a class
            if isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or (
                code and code[1] in REFUSED
            ):
                reason = f": the credentials in {' and '.join(BUCKET_KEYS)} were refused"
            elif isinstance(error, FileNotFoundError) or (code and code[1] == "NoSuchBucket"):
                reason = ": there is no such bucket"
            else:
                reason = f" at {self._bucket.endpoint or 'AWS'}: {_short(text)}"
            raise ArtifactError(f"cannot {what} {self}{reason}") from error


def _open(bucket: Bucket, environment: Mapping[str, str]) -> S3Store:
    if importlib.util.find_spec("obstore") is None:
        raise PluginError(
            f"the bucket {bucket.url} needs obstore, which is not installed here; "
            f"install materia-core[s3], in a clone: uv sync --extra s3"
        )
    from obstore.store import S3Store

    name, _, prefix = bucket.url.removeprefix("s3://").partition("/")
    more: dict[str, str] = {}
    if session := environment.get(SESSION):
        more["session_token"] = session
    if bucket.endpoint:
        more["endpoint"] = bucket.endpoint
    return S3Store(
        name,
        prefix=prefix or None,
        region=bucket.region or environment.get("AWS_REGION") or "us-east-1",
        access_key_id=environment[BUCKET_KEYS[0]],
        secret_access_key=environment[BUCKET_KEYS[1]],
        client_options={
            "allow_http": True,
            "connect_timeout": CONNECT_LIMIT,
            "timeout": UPLOAD_LIMIT,
        },
        retry_config={"max_retries": 3, "retry_timeout": RETRY_LIMIT},
        **more,  # type: ignore[arg-type]
    )


def _path(sha256: str) -> str:
    return f"{FOLDER}/{sha256}{SUFFIX}"


def _short(text: str) -> str:
    """What went wrong, without the address that was asked: it may be signed."""
    told = text.partition("\n\nDebug source:")[0]
    return re.sub(r"(https?://[^\s?]+)\?\S*", r"\1", " ".join(told.split()))[:400]
