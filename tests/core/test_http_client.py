"""Clients of httpx, made as the environment says, against servers and proxies of our own."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest
from fakes.http_server import QuietServer
from materia.errors import VariableError
from materia_http.client import client

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@contextmanager
def server(*, to: str = "") -> Iterator[tuple[str, list[str]]]:
    """A server, its address, and what it was asked for; with *to* it redirects."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(302 if to else 200)
            if to:
                self.send_header("Location", to)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    with QuietServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}", asked
        served.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def test_requests_go_by_the_proxy_and_those_for_hosts_of_no_proxy_directly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with server() as (proxy, by_proxy), server() as (here, directly):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        with client("http://there.example/") as asked:
            asked.get("http://there.example/a")
        monkeypatch.setenv("NO_PROXY", "fe80::/10,[::1],127.0.0.1")
        with client(here) as asked:
            assert asked.get(f"{here}/b").text == "ok"

        assert by_proxy == ["http://there.example/a"]
        assert directly == ["/b"]


def test_a_proxy_that_does_not_answer_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:secret@127.0.0.1:9")
    with client("http://there.example/") as asked, pytest.raises(httpx.ConnectError) as raised:
        asked.get("http://there.example/a")

    assert str(raised.value).endswith("(the proxy is http://***@127.0.0.1:9, from HTTP_PROXY)")


def test_a_variable_that_cannot_be_used_is_an_error_when_the_client_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://x")
    with pytest.raises(VariableError, match="ALL_PROXY is gopher://x"):
        client("http://there.example/")


@pytest.mark.parametrize(
    "proxy", ["http://xn--a-\xfc", "http://-..:1", "http://a..b:1", "http://.:1"]
)
def test_a_host_that_httpx_cannot_read_is_told_like_any_other(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    try:
        with client("http://there.example/") as asked:
            asked.get("http://there.example/")
    except (VariableError, httpx.ConnectError) as error:
        assert "HTTP_PROXY" in str(error)  # noqa: PT017 -- one or the other


def test_a_redirect_to_where_the_environment_does_not_reach_is_an_error_of_httpx(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with server(to="https://there.example/") as (here, _):
        monkeypatch.setenv("HTTPS_PROXY", "socks4://x:1")
        with (
            client(here, follow_redirects=True) as asked,
            pytest.raises(httpx.UnsupportedProtocol, match="HTTPS_PROXY is socks4://x:1"),
        ):
            asked.get(here)


def test_every_client_of_httpx_is_made_in_one_place() -> None:
    folders = ("core", "kits", "plugins", "runner", "testing", "transform", "tools")
    made = re.compile(
        r"httpx\.(Client|AsyncClient|HTTPTransport|get|post|put|delete|head|stream|request)\("
    )
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if ".venv" not in path.parts and made.search(path.read_text(encoding="utf-8"))
    }

    assert found == {"kits/http/src/materia_http/client.py"}


def test_every_plugin_with_a_client_of_requests_looks_at_the_environment_first() -> None:
    providers = [path.name for path in (ROOT / "plugins/providers").iterdir()]
    looks = {
        name
        for name in providers
        for path in (ROOT / "plugins/providers" / name / "src").rglob("*.py")
        if "check_requests(" in path.read_text(encoding="utf-8")
    }

    assert looks == {*providers} - {"local"}
