"""Proxy and certificate variables for a URL: HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE and others.

HTTP libraries read these variables when a client is made, each in its own way, and fail on a value
they cannot read with an error that names neither variable nor value. Here they are read once, for
every client, and the error says which variable to set. Only the certificates are read from disk.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from materia._dataclass import dataclass
from materia.errors import VariableError

__all__ = [
    "check_httpx",
    "check_requests",
]

SHOWN = 100  # characters of a value in a message
CERTIFICATES = "set it to a file of PEM certificates, or unset it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """The proxy that requests go through.

    Attributes:
        variable: Name of the variable that sets it.
        url: Address with its scheme, and with user and password if it has them.
        shown: The same address without user and password.
    """

    variable: str
    url: str
    shown: str


def check_httpx(url: str, environ: Mapping[str, str]) -> None:
    """Check the proxy and certificate variables that an httpx client uses for *url*.

    Raises:
        VariableError: a variable cannot be used; the message has its name, its value and a remedy.
    """
    proxy_for(url, environ, socks="socksio")
    if url.startswith("https:"):
        certificates(environ)


def needs_proxy(url: str) -> bool:
    """Whether an httpx client in this environment would reach *url* through a proxy.

    Raises:
        VariableError: a variable for proxies or certificates cannot be used.
    """
    check_httpx(url, os.environ)
    return proxy_for(url, os.environ, socks="socksio") is not None


def check_requests(url: str, environ: Mapping[str, str]) -> None:
    """Check the proxy and certificate variables that requests, or an SDK on it, uses for *url*.

    Raises:
        VariableError: a variable cannot be used; the message has its name, its value and a remedy.
    """
    proxy_for(url, environ, socks="socks")
    variable = next(
        (one for one in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if environ.get(one)), ""
    )
    if variable and url.startswith("https:"):
        path = Path(environ[variable])
        if not path.is_dir():
            _check_bundle(variable, path)


def certificates(environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The file, or else the folder, of trusted certificates that replaces the default ones.

    Raises:
        VariableError: it does not exist, or has no certificate.
    """
    if file := environ.get("SSL_CERT_FILE"):
        _check_bundle("SSL_CERT_FILE", Path(file))
        return file, None
    if folder := environ.get("SSL_CERT_DIR"):
        if not any(Path(one).is_dir() for one in folder.split(os.pathsep)):
            raise VariableError(
                f"SSL_CERT_DIR is {_plain(folder)}, which is not a folder; set it to a folder of "
                "PEM certificates, or unset it"
            )
        return None, folder
    return None, None


def _check_bundle(variable: str, path: Path) -> None:
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise VariableError(
            f"{variable} is {_plain(str(path))}, which has no certificate; {CERTIFICATES}"
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise VariableError(
            f"{variable} is {_plain(str(path))}, which cannot be read ({reason}); {CERTIFICATES}"
        ) from error


def proxy_for(url: str, environ: Mapping[str, str], *, socks: str) -> Proxy | None:
    """The proxy for requests to *url*; None means a direct connection.

    Args:
        url: The address, with its scheme.
        environ: The variables; the lower-case form of a name wins over the upper-case form.
        socks: Package that a client needs for a SOCKS proxy.

    Raises:
        VariableError: the variable that names the proxy cannot be used.
    """
    split = urlsplit(url)
    variable = _variable_for(split.scheme, environ)
    if variable is None or _is_direct(split, environ.get("no_proxy") or environ.get("NO_PROXY")):
        return None
    value = environ[variable].strip()
    shown = _without_user(value)
    if (fault := _fault(value, socks)) is not None:
        raise VariableError(
            f"{variable} is {shown}, {fault}; set it to a proxy such as http://proxy.example:3128, "
            "or unset it"
        )
    return Proxy(variable=variable, url=_with_scheme(value), shown=shown)


def _variable_for(scheme: str, environ: Mapping[str, str]) -> str | None:
    for name in (f"{scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            if environ.get(variable, "").strip():
                return variable
    return None


def _fault(value: str, socks: str) -> str | None:
    """Why *value* cannot be used as a proxy, as the words that follow it in a message."""
    if not value.isascii() or re.search(r"[\x00-\x20\x7f]", value):
        return "which has characters that are not allowed in an address"
    try:
        split = urlsplit(_with_scheme(value))
        port = split.port
    except ValueError:
        return "whose host or port cannot be read"
    labels = (split.hostname or "").removesuffix(".").split(".")
    if port == 0 or not all(0 < len(label) < 64 for label in labels):
        return "which names no host"
    return _fault_of_scheme(split.scheme, socks)


def _fault_of_scheme(scheme: str, socks: str) -> str | None:
    if scheme in {"socks5", "socks5h"}:
        return None if find_spec(socks) else "and SOCKS is not supported here"
    if scheme.startswith("socks"):
        return "a kind of SOCKS that is not supported"
    return None if scheme in {"http", "https"} else "which is neither http:// nor https://"


def _with_scheme(value: str) -> str:
    return value if "://" in value else f"http://{value}"


def _without_user(value: str) -> str:
    """*value* without secrets, for a message: scheme, host and a port that is a number."""
    scheme, separator, rest = value.partition("://")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        scheme, separator, rest = "", "", value
    hidden, at, rest = rest.rpartition("@")
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]
    host, colon, port = place.rpartition(":")
    if colon and not port.isdecimal() and not place.endswith("]"):
        place = f"{host}:***"  # it may be a password without a host
    return _plain(f"{scheme}{separator}{'***@' if hidden or at else ''}{place}")


def _plain(text: str) -> str:
    """*text* without control characters, cut to a length for messages."""
    shown = "".join(one if one.isprintable() else "?" for one in text)
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."


def _is_direct(url: SplitResult, no_proxy: str | None) -> bool:
    """Whether an entry of NO_PROXY matches the host; an unreadable entry matches none."""
    host = (url.hostname or "").rstrip(".").lower()
    try:
        port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    except ValueError:
        return False
    return any(
        entry == "*" or (wanted in {None, port} and _matches(host, entry))
        for entry, wanted in _entries(no_proxy or "")
    )


def _entries(no_proxy: str) -> Iterator[tuple[str, int | None]]:
    """The hosts and networks of NO_PROXY, each with its port or None."""
    for text in re.split(r"[\s,]+", no_proxy.lower()):
        bracketed = re.fullmatch(r"\[(.*)\](?::(\d{1,5}))?", text)
        with_port = re.fullmatch(r"([^:]+):(\d{1,5})", text)
        if found := bracketed or with_port:
            yield found[1], int(found[2]) if found[2] else None
        elif text:
            yield text, None


def _matches(host: str, entry: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        name = entry.removeprefix("*").strip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        return address in ip_network(entry, strict=False)
    except (ValueError, TypeError):
        return False
