"""Translate the errors of an object store into materia's: credentials, region, bucket, overload.

`materia_store.object_store_errors` translates the errors of the network on the way.
"""

from __future__ import annotations

from materia.errors import ConfigError, MateriaError, SinkError
from obstore import exceptions

from materia_store.bucket.address import Address
from materia_store.object_store_errors import (
    CLIENT_ERRORS,
    LATER,
    code_of,
    proxy_problem,
    status_of,
    unanswered,
)

REFUSED = {
    "InvalidAccessKeyId": (
        "it does not know the key; set {keys} to a key of this store (keys with a session "
        "token, which begin with ASIA at AWS, are not supported)"
    ),
    "SignatureDoesNotMatch": "the secret does not belong to the key; set {keys} again",
    "ExpiredToken": "the key has expired; set {keys} to a new one",
    "InvalidToken": "the key is no longer valid; set {keys} to a new one",
    "RequestTimeTooSkewed": "the clock of this machine is wrong; set it and run again",
    "QuotaExceeded": f"the store is full; free space and {LATER}",
}
WRONG_REGION = {"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraint"}
OBSTORE = CLIENT_ERRORS
__all__ = ["LATER", "OBSTORE", "NotThereError", "explain", "status_of"]


class NotThereError(SinkError):
    """No object has that name."""


def explain(
    error: Exception, address: Address, doing: str, name: str = "", *, elsewhere: str | None = None
) -> MateriaError:
    """The error of materia for *error*; raise it `from None`: *error* may contain secrets.

    *elsewhere* is the host to which the store redirects requests.
    """
    store = address.endpoint or f"AWS in {address.region}"
    code, status, text = code_of(error), status_of(error), str(error)
    kind: type[MateriaError] = SinkError
    if isinstance(error, FileNotFoundError) and code != "NoSuchBucket":
        kind, words = NotThereError, "it does not exist"
    elif elsewhere is not None:
        kind, words = (
            ConfigError,
            f"{store} sends requests elsewhere, to {elsewhere}; correct {address.table}.endpoint",
        )
    elif "Encountered object with invalid path" in text:
        kind, words = ConfigError, _unlistable(address)
    elif status is None and "without LOCATION" not in text:
        if isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError):
            words = f"{store} refuses {address.keys}"
        else:
            words = unanswered(error, address.place.url)
    else:
        kind, words = _answered(code, status, text, address, store)
    return kind(f"{address.url(name)}: cannot {doing}: {words}")


def _unlistable(address: Address) -> str:
    return (
        "it contains an object that materia did not write and cannot use: its name has an empty "
        f"part, or a part of dots only. Remove it, or set {address.table}.bucket to another prefix "
        f"than {address.url()}"
    )


def _answered(
    code: str, status: int | None, text: str, address: Address, store: str
) -> tuple[type[MateriaError], str]:
    said = f"{status} {code}".rstrip()
    setting = f"{address.table}.bucket"
    rights = f"the key of {address.keys} needs permission to read, write, list and delete in"
    cases: tuple[tuple[bool, type[MateriaError], str], ...] = (
        (
            code == "NoSuchBucket",
            ConfigError,
            f"there is no bucket {address.bucket} at {store}; create it or correct {setting}",
        ),
        (
            code in WRONG_REGION or status in {301, 307, 308} or "without LOCATION" in text,
            ConfigError,
            f"the bucket is not in the region {address.region}, or not at {store}; correct both",
        ),
        (code in REFUSED, SinkError, REFUSED.get(code, "").format(keys=address.keys)),
        (status in {401, 403}, SinkError, f"{store} refuses it ({said}); {rights} {address.url()}"),
        (
            status in {405, 501},
            ConfigError,
            f"{store} does not support this ({said}); use another store",
        ),
        (status == 407, ConfigError, proxy_problem(address.place.url)),
        (status in {429, 503}, SinkError, f"{store} is overloaded ({said}); {LATER}"),
    )
    for applies, kind, words in cases:
        if applies:
            return kind, words
    return SinkError, f"{store} answers {said}; {LATER}"
