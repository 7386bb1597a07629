"""S3 errors: explain what obstore raises, and tell temporary errors from permanent ones.

The text of those errors holds whole answers, which may hold the name of a key or a signature. So
messages show only the status and the code of an answer. Codes as in "Error responses" of the S3 API
reference (2026-08); R2, Ceph and others use the same ones.
"""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from obstore import exceptions

__all__ = [
    "CLIENT_ERRORS",
    "LATER",
    "OddAnswerError",
    "code_of",
    "is_passing",
    "proxy_problem",
    "status_of",
    "unanswered",
]

STATUS = re.compile(r"status code: (\d{3})")
CODE = re.compile(r"<Code>(\w{1,64})</Code>")
LATER = "run again: the files already kept are unharmed"
PASSING_STATUS = {408, 425, 429}
LASTING_STATUS = {501, 505}
PASSING_CODE = {"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown"}
# `HttpErrorKind` of the crate object_store: the request was not sent, or its answer was lost.
PASSING_KIND = re.compile(r"kind: (Connect|Request|Timeout|Interrupted),")
NEVER = re.compile(r"InvalidCertificate\(|unsupported scheme|InvalidUri|invalid URL")
ODD = re.compile(r"Header missing|Unable to extract metadata|InvalidMultipartResponse")
CERTIFICATE = re.compile(r"InvalidCertificate\(\s*(\w+)")
BUNDLE = "AWS_CA_BUNDLE"  # of the AWS command line and of boto3


class ClientPanicError(Exception):
    """obstore crashed on an answer or a setting (a Rust panic); the text is obstore's."""


class OddAnswerError(Exception):
    """The store answered with success, but not with the data of the request."""


CLIENT_ERRORS = (
    FileNotFoundError,
    NotImplementedError,
    exceptions.BaseError,
    ClientPanicError,
    OddAnswerError,
)


def code_of(error: BaseException) -> str:
    """The S3 error code in the store's answer, or an empty text."""
    found = CODE.search(str(error))
    return found[1] if found else ""


def status_of(error: BaseException) -> int | None:
    """The HTTP status of the store's answer, or None when there was none or it was a success."""
    found = STATUS.search(str(error))
    return int(found[1]) if found else None


def is_odd(error: BaseException) -> bool:
    """Whether the store answered with success, but not with what S3 answers.

    An overloaded store may do that for a moment; a server that is no S3 store always does.
    """
    if code_of(error) in PASSING_CODE:
        return False
    if isinstance(error, OddAnswerError):
        return True
    return isinstance(error, exceptions.GenericError) and ODD.search(str(error)) is not None


def has_answered(error: BaseException) -> bool:
    """Whether the store itself answered, so that the fault is not in the network alone."""
    return status_of(error) is not None or not re.search(r"kind: (Connect|Timeout),", str(error))


def broke_off(error: BaseException) -> bool:
    """Whether the connection broke in the middle of an answer."""
    return isinstance(error, exceptions.GenericError) and "body error" in str(error)


def is_passing(error: BaseException) -> bool:
    """Whether the error is temporary, so that a retry may succeed."""
    if isinstance(error, OddAnswerError) or is_odd(error):
        return True
    if not isinstance(error, exceptions.GenericError):
        return False
    status, text = status_of(error), str(error)
    if code_of(error) in PASSING_CODE:
        return True
    if status is not None:
        return status in PASSING_STATUS or (status >= 500 and status not in LASTING_STATUS)
    if NEVER.search(text):
        return False
    return broke_off(error) or PASSING_KIND.search(text) is not None


def unanswered(error: BaseException, endpoint: str) -> str:
    """Why *endpoint* gave no usable answer, and what to do."""
    text = str(error)
    proxy = proxy_for(endpoint)
    through = f" through the proxy of {proxy}" if proxy else ""
    if found := CERTIFICATE.search(text):
        return _of_certificate(endpoint, found[1])
    if "kind: Connect," in text:
        return _of_proxy(endpoint, proxy, text) if proxy else _out_of_reach(endpoint, text)
    if "kind: Timeout," in text:
        return f"{endpoint} did not answer in time{through}; {LATER}"
    if broke_off(error) or PASSING_KIND.search(text):
        return f"the connection to {endpoint}{through} broke off; {LATER}"
    return _of_answer(error, endpoint, through)


def proxy_problem(endpoint: str) -> str:
    """The message for a proxy that wants a user name and a password."""
    proxy = proxy_for(endpoint) or "this network"
    return f"the proxy of {proxy} needs a user name and a password; put them into its address"


def proxy_for(endpoint: str) -> str | None:
    """The variable that sets a proxy for *endpoint*, with the proxy's host; or None."""
    split = urlsplit(endpoint)
    if proxy_bypass(split.netloc):
        return None
    proxies = getproxies_environment()
    for scheme in (split.scheme, "all"):
        if address := proxies.get(scheme):
            upper, lower = f"{scheme}_proxy".upper(), f"{scheme}_proxy"
            # Without the name and the password that may stand before the host.
            return f"{lower if lower in os.environ else upper} ({address.rpartition('@')[2]})"
    return None


def _of_certificate(endpoint: str, fault: str) -> str:
    if fault.startswith(("Expired", "NotValidYet")):
        return (
            f"the certificate of {endpoint} is not valid now; renew it, or set the clock of this "
            "machine"
        )
    if fault.startswith("NotValidForName"):
        return f"the certificate of {endpoint} is for another name; correct the endpoint"
    told = f"this machine does not trust the certificate of {endpoint} ({fault})"
    not_read = f" ({BUNDLE} is not read)" if os.environ.get(BUNDLE) else ""
    if file := os.environ.get("SSL_CERT_FILE"):
        return (
            f"{told}; put the certificate of its authority into {file}, the SSL_CERT_FILE{not_read}"
        )
    return f"{told}; set SSL_CERT_FILE to a file with the certificate of its authority{not_read}"


def _of_proxy(endpoint: str, proxy: str, text: str) -> str:
    exempt = f"add {urlsplit(endpoint).hostname} to NO_PROXY"
    if "unsupported scheme" in text:
        return f"the proxy of {proxy} is not an HTTP proxy; set an HTTP proxy, or {exempt}"
    if "tunnel" in text or "proxy auth" in text:
        return f"the proxy of {proxy} does not connect to {endpoint}; correct it, or {exempt}"
    return (
        f"{endpoint} cannot be reached through the proxy of {proxy}; correct it, or {exempt}, "
        f"and {LATER}"
    )


def _out_of_reach(endpoint: str, text: str) -> str:
    if "dns error" in text:
        host = urlsplit(endpoint).hostname
        return (
            f"{endpoint} cannot be reached: DNS has no address for {host}; correct it, or check "
            f"the network, and {LATER}"
        )
    return f"{endpoint} cannot be reached; check the network, and {LATER}"


def _of_answer(error: BaseException, endpoint: str, through: str) -> str:
    if code := code_of(error):
        return f"{endpoint} answered with success and with the error {code}; {LATER}"
    if isinstance(error, ClientPanicError):
        return (
            f"the client obstore crashed on the answer of {endpoint}{through}; use another store, "
            "or another version of obstore"
        )
    return f"{endpoint} is not an S3 store{through}; correct the endpoint, or {LATER}"
