"""HTTP clients of httpx: every one in materia is made here, as the environment says.

Proxies and certificates are read by `http_environment`, and not by httpx: it fails on values that
can never matter (`NO_PROXY=fe80::/10`), with errors that name no variable.
"""

from __future__ import annotations

import os
import ssl
import sys
import threading
from collections.abc import Mapping
from typing import Any

from materia.errors import VariableError

from materia_http.environment import Proxy, certificates, check_httpx, proxy_for

# httpx also is a command, whose imports (click, rich) take longer than all the rest of it: 0.15 s
# of 0.24. None is how Python says that a module cannot be imported, and httpx does without.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

import httpx  # noqa: E402 -- as above

__all__ = [
    "client",
]


def client(url: str, **options: Any) -> httpx.Client:
    """A client that asks *url*, and whatever that redirects to.

    Args:
        url: What is asked first; it decides which variables have to be usable.
        options: As for `httpx.Client`.

    Raises:
        VariableError: a variable of the environment cannot be used; the message names it.
    """
    environ = dict(os.environ)
    check_httpx(url, environ)
    transport = _Transport(environ)
    transport.prepare(url)
    return httpx.Client(transport=transport, trust_env=False, **options)


class _Transport(httpx.BaseTransport):
    """Connections, kept open by proxy; made when first they are needed."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._made: dict[tuple[str, str | None], httpx.HTTPTransport] = {}
        self._lock = threading.Lock()

    def prepare(self, url: str) -> tuple[httpx.HTTPTransport, Proxy | None]:
        """What goes to *url*, and by which proxy; VariableError when the environment forbids it."""
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
        except VariableError as error:  # only after a redirect: `client` looked at the rest
            raise httpx.UnsupportedProtocol(str(error), request=request) from error
        try:
            return through.handle_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise type(error)(_told(error, proxy), request=request) from error
        except UnicodeError as error:  # a host that no resolver takes
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
    """The reason, with what the environment has to do with it."""
    reason = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        reason += "; set SSL_CERT_FILE to the certificate of an authority of your own"
    return f"{reason} (the proxy is {proxy.shown}, from {proxy.variable})" if proxy else reason
