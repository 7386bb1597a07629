"""What the variables for proxies and certificates say, and how one that cannot be used is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import certifi
import pytest
from hypothesis import given
from hypothesis import strategies as st
from materia.errors import VariableError
from materia_http.environment import Proxy, certificates, check_httpx, check_requests, proxy_for

HTTPS = "https://apps.fas.usda.gov/psdonline"
PROXY = "http://proxy.example:3128"


def proxy_url(environ: Mapping[str, str], url: str = HTTPS) -> str | None:
    proxy = proxy_for(url, environ, socks="no_such_package")
    return proxy.url if proxy else None


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"}, PROXY),
        ({"https_proxy": "", "HTTPS_PROXY": PROXY}, PROXY),
        ({"ALL_PROXY": PROXY}, PROXY),
        ({"all_proxy": "socks5://x:1", "HTTPS_PROXY": PROXY}, PROXY),
        ({"HTTP_PROXY": "nonsense://", "FTP_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        ({"HTTPS_PROXY": f" {PROXY}\n"}, PROXY),
        ({"HTTPS_PROXY": "http://us%40er:pa%3Ass@proxy:1"}, "http://us%40er:pa%3Ass@proxy:1"),
        ({"HTTPS_PROXY": "http://[::1]:3128"}, "http://[::1]:3128"),
    ],
)
def test_the_variable_for_the_scheme_goes_before_the_one_for_all(
    environ: dict[str, str], proxy: str | None
) -> None:
    assert proxy_url(environ) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("*", "a.example", True),
        ("a.example", "a.example", True),
        ("a.example", "b.a.example", True),
        (".a.example", "b.a.example", True),
        ("*.a.example", "b.a.example", True),
        ("a.example", "ba.example", False),
        ("x, a.example", "a.example", True),
        ("x a.example", "a.example", True),
        ("A.Example", "a.EXAMPLE", True),
        ("a.example:443", "a.example", True),
        ("a.example:80", "a.example", False),
        ("127.0.0.0/8", "127.0.0.1", True),
        ("10.0.0.0/8", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "[::1]", True),
        ("[::1]", "[::1]", True),
        ("[::1]:443", "[::1]", True),
        ("[::1]:444", "[::1]", False),
        ("fe80::/10", "[fe80::5]", True),
        ("fe80::/10", "a.example", False),
        ("localhost,fe80::/10,[::1],::1/128", "a.example", False),
        ("[", "a.example", False),
        ("]:,:::,1.2.3.4/99,%,é,[::1", "a.example", False),
        (",,", "a.example", False),
        ("", "a.example", False),
    ],
)
def test_no_proxy_names_hosts_and_networks_and_what_cannot_be_read_names_none(
    no_proxy: str, host: str, *, direct: bool
) -> None:
    environ = {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}

    assert (proxy_url(environ, f"https://{host}/x") is None) is direct


@given(st.text(alphabet=st.characters(exclude_characters="\0"), max_size=40))
def test_no_value_of_no_proxy_is_an_error(no_proxy: str) -> None:
    environ = {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}

    assert proxy_url(environ) in {PROXY, None}
    assert proxy_url(environ, "https://[fe80::1]:8443/x") in {PROXY, None}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("socks5://127.0.0.1:1080", "socks5://127.0.0.1:1080, and SOCKS is not supported here"),
        ("socks4://127.0.0.1:1080", "socks4://127.0.0.1:1080, a kind of SOCKS"),
        ("http://proxy:99999", "http://proxy:99999, whose host or port cannot be read"),
        ("http://proxy:port", "http://proxy:***, whose host or port"),
        ("http://[::1:3128", "http://[::1:3128, whose host or port"),
        ("http://", "http://, which names no host"),
        ("ftp://proxy:1", "ftp://proxy:1, which is neither"),
        ("http://pro xy:1", "http://pro xy:1, which has characters"),
        ("http://pr\xf6xy:1", "http://pr\xf6xy:1, which has characters"),
        ("http://pr\x1bxy:1", "http://pr?xy:1, which has characters"),
        ("socks5://me:secret@proxy:1", "socks5://***@proxy:1, and SOCKS"),
        ("http://me:se@cret@proxy:x", "http://***@proxy:***, whose"),
        ("http://me:secret", "http://me:***, whose"),
        ("me:secret@proxy:99999", "***@proxy:99999, whose"),
        ("ftp://me:s/e?c#ret@proxy:1/secret?secret", "ftp://***@proxy:1, whose host"),
        ("http://me:secret://x@proxy:0", "http://***@proxy:0, whose host or port"),
        ("me:secret://x@proxy:0", "***@proxy:0, w"),
        ("http://a..b:1", "http://a..b:1, which names no host"),
        ("x" * 5000 + ":a", "x" * 100 + "..., whose"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_with_its_cure_and_without_its_password(
    value: str, told: str
) -> None:
    for variable in ("HTTPS_PROXY", "all_proxy"):
        with pytest.raises(VariableError) as raised:
            proxy_url({variable: value})
        message = str(raised.value)

        assert message.startswith(f"{variable} is {told}")
        assert message.endswith(
            "; set it to a proxy such as http://proxy.example:3128, or unset it"
        )
        assert "secret" not in message
        assert "cret@" not in message
        assert "\n" not in message


def test_a_proxy_that_no_request_goes_through_needs_not_be_usable() -> None:
    environ = {"ALL_PROXY": "socks5://127.0.0.1:1080", "NO_PROXY": "usda.gov"}

    check_httpx(HTTPS, environ)
    check_requests(HTTPS, environ)


def test_a_socks_proxy_is_used_where_its_package_is_installed() -> None:
    environ = {"ALL_PROXY": "socks5://proxy:1080"}

    assert proxy_for(HTTPS, environ, socks="json") == Proxy(
        variable="ALL_PROXY", url="socks5://proxy:1080", shown="socks5://proxy:1080"
    )


@given(st.text(alphabet=st.characters(exclude_characters="\0"), max_size=60))
def test_any_proxy_is_taken_or_refused_in_one_line(value: str) -> None:
    try:
        proxy_url({"HTTPS_PROXY": value})
    except VariableError as error:
        assert str(error).isprintable()  # noqa: PT017 -- or it is taken


@pytest.fixture
def bundle() -> str:
    return certifi.where()


def test_certificates_are_a_file_or_a_folder(tmp_path: Path, bundle: str) -> None:
    assert certificates({}) == (None, None)
    assert certificates({"SSL_CERT_FILE": ""}) == (None, None)
    assert certificates({"SSL_CERT_FILE": bundle, "SSL_CERT_DIR": "/none"}) == (bundle, None)
    folders = f"/none:{tmp_path}"
    assert certificates({"SSL_CERT_DIR": folders}) == (None, folders)


def test_certificates_that_cannot_be_read_are_told_with_their_variable(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate\n")
    cases = {
        "/no/such.pem": "which cannot be read (No such file or directory)",
        str(empty): "which has no certificate",
    }
    for path, reason in cases.items():
        told = f"{path}, {reason}; set it to a file of PEM certificates, or unset it"
        for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            with pytest.raises(VariableError) as raised:
                check_requests(HTTPS, {variable: path})
            assert str(raised.value) == f"{variable} is {told}"
            check_httpx(HTTPS, {variable: path})
            check_requests("http://127.0.0.1:1/", {variable: path})
        with pytest.raises(VariableError) as raised:
            check_httpx(HTTPS, {"SSL_CERT_FILE": path})
        assert str(raised.value) == f"SSL_CERT_FILE is {told}"
        check_httpx("http://127.0.0.1:1/", {"SSL_CERT_FILE": path})
    with pytest.raises(VariableError, match="SSL_CERT_DIR is /no/such, which is not a folder"):
        check_httpx(HTTPS, {"SSL_CERT_DIR": "/no/such"})
    with pytest.raises(VariableError, match="SSL_CERT_FILE is "):
        check_httpx(HTTPS, {"SSL_CERT_FILE": str(tmp_path)})
    check_requests(HTTPS, {"REQUESTS_CA_BUNDLE": str(tmp_path)})
