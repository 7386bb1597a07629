"""What goes wrong between this machine and an S3 object store, read from the errors of obstore.

The text of those errors holds whole answers, and so may hold a key's name or a signature: only the
status and the code of an answer, and what is known here, are ever shown. Codes as in "Error
responses" of the S3 API reference (2026-08); R2, Ceph and the others use the same ones.
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
LATER = "run again: nothing that was kept is harmed"
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
    """obstore broke down over an answer or a setting; the text is its own."""


class OddAnswerError(Exception):
    """The store said that all is well, and sent something else than what was asked for."""


CLIENT_ERRORS = (
    FileNotFoundError,
    NotImplementedError,
    exceptions.BaseError,
    ClientPanicError,
    OddAnswerError,
)


def code_of(error: BaseException) -> str:
    """The code in the store's answer, or nothing."""
    found = CODE.search(str(error))
    return found[1] if found else ""


def status_of(error: BaseException) -> int | None:
    """The HTTP status of the store's answer, or None when there was none or it was a success."""
    found = STATUS.search(str(error))
    return int(found[1]) if found else None


def is_odd(error: BaseException) -> bool:
    """Whether the answer was a good one in form, and no answer to what was asked.

    A store that is overloaded may do that for a moment, a server that is none does nothing else.
    """
    if code_of(error) in PASSING_CODE:
        return False
    if isinstance(error, OddAnswerError):
        return True
    return isinstance(error, exceptions.GenericError) and ODD.search(str(error)) is not None


def has_answered(error: BaseException) -> bool:
    """Whether the store, and not only the way to it, is at fault."""
    return status_of(error) is not None or not re.search(r"kind: (Connect|Timeout),", str(error))


def broke_off(error: BaseException) -> bool:
    """Whether the answer began and did not end."""
    return isinstance(error, exceptions.GenericError) and "body error" in str(error)


def is_passing(error: BaseException) -> bool:
    """Whether the same request may well succeed a little later."""
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
    """What is wrong when a proxy asks who we are."""
    proxy = proxy_for(endpoint) or "this network"
    return f"the proxy of {proxy} asks for a name and a password; put them into its address"


def proxy_for(endpoint: str) -> str | None:
    """The variable that sends requests to *endpoint* through a proxy, with its host; or None."""
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
    told = f"{endpoint} shows a certificate ({fault}) that is not trusted here"
    not_read = f" ({BUNDLE} is not read)" if os.environ.get(BUNDLE) else ""
    if file := os.environ.get("SSL_CERT_FILE"):
        return (
            f"{told}; put the certificate of its authority into {file}, the SSL_CERT_FILE{not_read}"
        )
    return f"{told}; set SSL_CERT_FILE to a file with the certificate of its authority{not_read}"


def _of_proxy(endpoint: str, proxy: str, text: str) -> str:
    exempt = f"add {urlsplit(endpoint).hostname} to NO_PROXY"
    if "unsupported scheme" in text:
        return f"the proxy of {proxy} is not one for HTTP; set one that is, or {exempt}"
    if "tunnel" in text or "proxy auth" in text:
        return f"the proxy of {proxy} does not lead to {endpoint}; correct it, or {exempt}"
    return (
        f"{endpoint} cannot be reached through the proxy of {proxy}; correct it, or {exempt}, "
        f"and {LATER}"
    )


def _out_of_reach(endpoint: str, text: str) -> str:
    if "dns error" in text:
        host = urlsplit(endpoint).hostname
        return (
            f"{endpoint} cannot be reached, {host} has no address; correct it, or check the "
            f"network, and {LATER}"
        )
    return f"{endpoint} cannot be reached; check the network, and {LATER}"


def _of_answer(error: BaseException, endpoint: str, through: str) -> str:
    if code := code_of(error):
        return f"{endpoint} answers that all is well, and with the error {code}; {LATER}"
    if isinstance(error, ClientPanicError):
        return (
            f"obstore, the client, broke down over the answer of {endpoint}{through}; use another "
            "store, or another version of obstore"
        )
    return f"{endpoint} answers what is not S3{through}; correct the endpoint, or {LATER}"
