"""HTTP client: make an httpx client that uses the proxy and certificates of the environment.

`materia_http.environment` reads proxies and certificates instead of httpx, which fails on values
that do not matter (`NO_PROXY=fe80::/10`) with errors that name no variable.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Mapping
from typing import Any

import httpx
from materia.errors import VariableError

from materia_http.environment import Proxy, certificates, check_httpx, proxy_for

__all__ = [
    "client",
]


def client(url: str, **options: Any) -> httpx.Client:
    """An httpx client for *url* and for the addresses that it redirects to.

    Args:
        url: First address; its scheme and host decide which variables are checked.
        options: Options of `httpx.Client`.

    Raises:
        VariableError: a variable of the environment cannot be used; the message names it.
    """
    environ = dict(os.environ)
    check_httpx(url, environ)
    transport = _Transport(environ)
    transport.prepare(url)
    return httpx.Client(transport=transport, trust_env=False, **options)


class _Transport(httpx.BaseTransport):
    """One transport per scheme and proxy, made on first use and kept open."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._made: dict[tuple[str, str | None], httpx.HTTPTransport] = {}
        self._lock = threading.Lock()

    def prepare(self, url: str) -> tuple[httpx.HTTPTransport, Proxy | None]:
        """The transport and the proxy for *url*; raises VariableError for an unusable variable."""
        proxy = proxy_for(url, self._environ, socks="socksio")
        try:
            return self._through(url.partition(":")[0], proxy), proxy
        except (httpx.InvalidURL, ValueError) as error:
            if proxy is None:
                raise
            raise VariableError(
                f"{proxy.variable} is {proxy.shown}, which is not an address; set it to a proxy "
                "such as http://proxy.example:3128, or unset it"
            ) from error

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            through, proxy = self.prepare(str(request.url))
        except VariableError as error:  # only after a redirect: `client` checked the first address
            raise httpx.UnsupportedProtocol(str(error), request=request) from error
        try:
            return through.handle_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise type(error)(_told(error, proxy), request=request) from error
        except UnicodeError as error:  # a host name that no resolver accepts
            raise httpx.ConnectError(_told(error, proxy), request=request) from error

    def close(self) -> None:
        with self._lock:
            made = [*self._made.values()]
            self._made.clear()
        for transport in made:
            transport.close()

    def _through(self, scheme: str, proxy: Proxy | None) -> httpx.HTTPTransport:
        key = scheme, proxy.url if proxy else None
        with self._lock:
            if key not in self._made:
                self._made[key] = httpx.HTTPTransport(
                    verify=_trusted(self._environ) if scheme == "https" else False,
                    proxy=self._by(proxy) if proxy else None,
                    trust_env=False,
                )
            return self._made[key]

    def _by(self, proxy: Proxy) -> httpx.Proxy:
        secure = proxy.url.startswith("https:")
        return httpx.Proxy(proxy.url, ssl_context=_trusted(self._environ) if secure else None)


def _trusted(environ: Mapping[str, str]) -> ssl.SSLContext:
    file, folder = certificates(environ)
    if file or folder:
        return ssl.create_default_context(cafile=file, capath=folder)
    return httpx.create_ssl_context(trust_env=False)


def _told(error: Exception, proxy: Proxy | None) -> str:
    """The reason of *error*, with the proxy or the certificate variable that matters."""
    reason = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        reason += "; set SSL_CERT_FILE to the certificate of your own certificate authority"
    return f"{reason} (the proxy is {proxy.shown}, from {proxy.variable})" if proxy else reason
