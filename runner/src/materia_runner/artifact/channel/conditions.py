"""Check that a bucket honours conditional writes (If-Match, If-None-Match)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from materia.errors import ArtifactError

if TYPE_CHECKING:
    from obstore import PutMode

    from materia_runner.artifact.bucket import ArtifactBucket

NEW = "channels/conditional-writes.txt"
SAME = "channels/conditional-writes-2.txt"
TEXT = b"materia tries on this object whether the store honours If-Match and If-None-Match.\n"
NO_ETAG = '"00000000000000000000000000000000"'


def check_conditions(bucket: ArtifactBucket) -> None:
    """Try conditional writes on two objects of their own: two requests, or four in a new bucket.

    Raises:
        ArtifactError: the store ignores a condition, or the bucket cannot be written.
    """
    new = _refused(bucket, NEW, "create")
    if not new:  # created just now
        _refused(bucket, SAME, "create")
        new = _refused(bucket, NEW, "create")
    if not (new and _refused(bucket, SAME, {"e_tag": NO_ETAG})):
        raise ArtifactError(
            f"{bucket}: the store ignores If-Match or If-None-Match, so two computers could "
            "destroy each other's work; use one that honours them, as AWS and Cloudflare R2 do"
        )


def _refused(bucket: ArtifactBucket, path: str, mode: PutMode) -> bool:
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    try:
        bucket.write(path, TEXT, mode)
    except (AlreadyExistsError, PreconditionError, FileNotFoundError):
        return True
    return False
