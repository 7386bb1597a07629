"""Explain a connection error: certificate, DNS, proxy, connection refused or timeout, and a remedy.

Every SDK wraps network errors in its own classes. The reason is somewhere in their chain of causes
and arguments, and a user behind a company proxy needs that reason to know what to change.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

__all__ = [
    "connection_text",
]

DEPTH = 12  # errors of a chain of causes; some chains are circular
CERTIFICATE = (
    "if a proxy on the way decrypts TLS, set SSL_CERT_FILE and REQUESTS_CA_BUNDLE to a file with "
    "its certificate; otherwise another server may be answering"
)


def connection_text(error: BaseException, address: str = "") -> str:
    """Explain in one sentence why a connection to *address* failed, and what to check.

    Args:
        error: Error of httpx, requests, urllib3 or an SDK on top of them.
        address: Address of the request, if the error does not have it; only its host is shown.
    """
    chain = list(_chain(error))
    host = _host([address, *(_asked(one) for one in chain)])
    for one in chain:
        text = _known(one, host)
        if text:
            return text
    kinds = {type(one).__name__ for one in chain}
    if any("Proxy" in kind for kind in kinds):
        return f"no connection to {host}: the proxy refuses it; check HTTPS_PROXY"
    if any("Timeout" in kind or "TimedOut" in kind for kind in kinds):
        return "no answer in time"
    texts = " ".join(str(one) for one in chain)
    if "CERTIFICATE_VERIFY_FAILED" in texts:
        return f"the certificate of {host} is not accepted; {CERTIFICATE}"
    if any("SSL" in kind or "TLS" in kind for kind in kinds) or "SSL:" in texts:
        return f"no TLS connection to {host}; check the address, the proxy and the firewall"
    return f"no connection to {host} ({type(error).__name__})"


def _asked(error: BaseException) -> str:
    """The address of the request in an error of httpx or requests."""
    try:
        return str(getattr(getattr(error, "request", None), "url", "") or "")
    except RuntimeError:  # httpx raises it when there is no request
        return ""


def _host(addresses: list[str]) -> str:
    for address in addresses:
        try:
            if host := urlsplit(address).hostname:
                return host
        except ValueError:  # not an address
            continue
    return "the server"


def _known(error: BaseException, host: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        said = f" ({error.verify_message})" if getattr(error, "verify_message", "") else ""
        return f"the certificate of {host} is not accepted{said}; {CERTIFICATE}"
    if isinstance(error, ssl.SSLError):
        reason = f" ({error.reason})" if error.reason else ""
        return f"no TLS connection to {host}{reason}; check the address, and that it speaks https"
    if isinstance(error, socket.gaierror):
        return f"the host name {host} cannot be resolved; check the address and this machine's DNS"
    if isinstance(error, ConnectionRefusedError):
        return f"{host} refuses the connection; check the address"
    if isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        return f"{host} closed the connection without an answer"
    return "no answer in time" if isinstance(error, TimeoutError) else ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes, the outermost first."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting and len(seen) < DEPTH:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        waiting += [each for each in inner if isinstance(each, BaseException)]
