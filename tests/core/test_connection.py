"""What is wrong with a connection is told in words that say what to change."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import requests
from materia_providers.connection_errors import connection_text

NOWHERE = "https://nothing.invalid/v1"
Get = Callable[[str], object]


def by_requests(url: str) -> object:
    return requests.get(url, timeout=2)


def by_httpx(url: str) -> object:
    return httpx.get(url, timeout=2)


both = pytest.mark.parametrize("get", [by_requests, by_httpx], ids=["requests", "httpx"])


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port of this machine that takes connections and says what a test lets it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def told(get: Get, url: str) -> str:
    with pytest.raises((httpx.HTTPError, requests.RequestException)) as caught:
        get(url)
    return connection_text(caught.value)


@both
@pytest.mark.usefixtures("no_proxy")
def test_a_certificate_that_nobody_trusts_is_named_with_its_host_and_the_cure(
    get: Get, listener: socket.socket, untrusted: ssl.SSLContext
) -> None:
    threading.Thread(target=shake_hands, args=(listener, untrusted), daemon=True).start()

    text = told(get, f"https://127.0.0.1:{listener.getsockname()[1]}/")

    assert text.startswith("the certificate of 127.0.0.1 is not accepted (")
    assert "SSL_CERT_FILE and REQUESTS_CA_BUNDLE" in text


@both
@pytest.mark.usefixtures("no_proxy")
def test_a_server_that_speaks_no_tls_is_told_from_one_that_is_not_trusted(
    get: Get, listener: socket.socket
) -> None:
    threading.Thread(target=say_hello, args=(listener,), daemon=True).start()

    text = told(get, f"https://127.0.0.1:{listener.getsockname()[1]}/")

    assert text.startswith("no TLS connection to 127.0.0.1")


@both
@pytest.mark.usefixtures("no_proxy")
def test_a_port_where_nothing_listens_refuses(get: Get) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]

    assert told(get, f"http://127.0.0.1:{port}/") == (
        "127.0.0.1 refuses the connection; check the address"
    )


@both
@pytest.mark.usefixtures("no_proxy")
def test_a_name_that_is_not_known_is_said_to_be_so(get: Get) -> None:
    assert told(get, NOWHERE).startswith("the host name nothing.invalid cannot be resolved")


@both
def test_a_server_that_says_nothing_gives_no_answer_in_time(
    get: Get, listener: socket.socket
) -> None:
    impatient: Get = {
        by_requests: lambda url: requests.get(url, timeout=0.2),
        by_httpx: lambda url: httpx.get(url, timeout=0.2),
    }[get]  # type: ignore[index]  # one of the two

    text = told(impatient, f"http://127.0.0.1:{listener.getsockname()[1]}/")

    assert text == "no answer in time"


def test_an_error_without_an_address_or_a_cause_is_named_by_its_kind() -> None:
    assert connection_text(OSError("anything"), "https://api.example.org/v1") == (
        "no connection to api.example.org (OSError)"
    )


def test_causes_that_go_round_in_circles_come_to_an_end() -> None:
    first, second = ValueError("one"), KeyError("two")
    first.__cause__, second.__cause__ = second, first

    assert connection_text(first) == "no connection to the server (ValueError)"


@pytest.fixture(scope="module")
def untrusted(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate that it signed itself."""
    folder = tmp_path_factory.mktemp("certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed(folder))
    return context


def self_signed(folder: Path) -> tuple[Path, Path]:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    form = serialization.PrivateFormat.PKCS8
    no_password = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, form, no_password))
    return folder / "cert.pem", folder / "key.pem"


def shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    connection, _ = listener.accept()
    try:
        context.wrap_socket(connection, server_side=True).close()
    except OSError:
        connection.close()


def say_hello(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello")
    connection.close()
