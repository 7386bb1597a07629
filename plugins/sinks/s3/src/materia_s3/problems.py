"""What goes wrong with a bucket, in materia's words: the one place where errors are translated.

Codes as in "Error responses" of the S3 API reference (2026-08); R2, Ceph and the others use the
same ones. The text of obstore's errors holds whole answers, and so may hold a key's name or a
signature: only the status and the code of it are ever shown.
"""

from __future__ import annotations

import re

from materia.errors import ConfigError, MateriaError, SinkError
from obstore import exceptions

from materia_s3.address import Address

STATUS = re.compile(r"status code: (\d{3})")
CODE = re.compile(r"<Code>(\w+)</Code>")
KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
LATER = "run again: nothing that was kept is harmed"
REFUSED = {
    "InvalidAccessKeyId": f"it does not know the key; set {KEYS} to one of this store",
    "SignatureDoesNotMatch": f"the secret is not that of the key; set {KEYS} anew",
    "ExpiredToken": f"the key has expired; set {KEYS} to a new one",
    "InvalidToken": f"the key is not valid any more; set {KEYS} to a new one",
    "RequestTimeTooSkewed": "the clock of this machine is wrong; set it and run again",
    "QuotaExceeded": f"the store is full; make room and {LATER}",
}
WRONG_REGION = {"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraint"}
OBSTORE = (FileNotFoundError, exceptions.BaseError)


class NotThereError(SinkError):
    """There is no object of that name."""


def code_of(error: Exception) -> str:
    """The code in the store's answer, or nothing."""
    found = CODE.search(str(error))
    return found[1] if found else ""


def status_of(error: Exception) -> int | None:
    """The HTTP status of the store's answer, or None when there was none."""
    found = STATUS.search(str(error))
    return int(found[1]) if found else None


def broke_off(error: Exception) -> bool:
    """Whether the answer began and did not end."""
    return isinstance(error, exceptions.GenericError) and "body error" in str(error)


def explain(error: Exception, address: Address, doing: str, name: str = "") -> MateriaError:
    """The error that *error* is to the user: to be raised `from None`, for the reason above."""
    store = address.endpoint or f"AWS in {address.region}"
    code, status, text = code_of(error), status_of(error), str(error)
    kind: type[MateriaError] = SinkError
    if isinstance(error, FileNotFoundError) and code != "NoSuchBucket":
        kind, words = NotThereError, "it is not there"
    elif status is None and "without LOCATION" not in text:
        words = _unanswered(error, store)
    else:
        kind, words = _answered(code, status, text, address, store)
    return kind(f"{address.url(name)}: cannot {doing}: {words}")


def _unanswered(error: Exception, store: str) -> str:
    text = str(error)
    if isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError):
        return f"{store} refuses {KEYS}"
    if "kind: Timeout" in text:
        return f"{store} did not answer in time; {LATER}"
    if broke_off(error):
        return f"the connection to {store} broke off; {LATER}"
    return f"{store} cannot be reached; see to the network and {LATER}"


def _answered(
    code: str, status: int | None, text: str, address: Address, store: str
) -> tuple[type[MateriaError], str]:
    said = f"{status} {code}".rstrip()
    rights = f"the key of {KEYS} needs the rights to read, write, list and delete in"
    cases: tuple[tuple[bool, type[MateriaError], str], ...] = (
        (
            code == "NoSuchBucket",
            ConfigError,
            f"there is no bucket {address.bucket} at {store}; make it, or correct sinks.s3.bucket",
        ),
        (
            code in WRONG_REGION or status in {301, 307} or "without LOCATION" in text,
            ConfigError,
            f"the bucket is not in the region {address.region}; set sinks.s3.region",
        ),
        (code in REFUSED, SinkError, REFUSED.get(code, "")),
        (status in {401, 403}, SinkError, f"{store} refuses it ({said}); {rights} {address.url()}"),
        (status == 501, ConfigError, f"{store} cannot do this ({said}); use another store"),
        (status in {429, 503}, SinkError, f"{store} is overloaded ({said}); {LATER}"),
    )
    for applies, kind, words in cases:
        if applies:
            return kind, words
    return SinkError, f"{store} answers {said}; {LATER}"
