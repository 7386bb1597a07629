"""The client of a JSON API sends its credentials to one address, and explains each failure."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from materia.errors import CapacityError, CredentialsError, ProviderError
from materia_providers.api.client import JsonApi, Refusal
from materia_providers.api_errors import (
    BusyRateError,
    NothingMadeError,
    TakenError,
    UnansweredError,
)

SECRET = "a planted word"  # noqa: S105 -- it opens nothing


@contextmanager
def answering(
    status: int, body: str, **headers: str
) -> Iterator[tuple[str, list[BaseHTTPRequestHandler]]]:
    """A server with one answer to everything, its address, and the requests that came."""
    came: list[BaseHTTPRequestHandler] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            came.append(self)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", came
        server.shutdown()
        thread.join()


def client(url: str, token: str = SECRET) -> JsonApi:
    def meaning(status: int, body: object) -> Refusal | None:
        code = body.get("code") if isinstance(body, dict) and status == 422 else None
        kinds: dict[str, Refusal] = {"sold_out": CapacityError, "in_use": TakenError}
        return kinds.get(str(code))

    return JsonApi(
        "acme",
        url,
        headers={"Authorization": f"Bearer {token}"},
        timeout=timedelta(seconds=5),
        meaning=meaning,
        remedy="check ACME_TOKEN",
    )


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (401, "{}", CredentialsError, "check ACME_TOKEN"),
        (403, "<html>", CredentialsError, "an unreadable page; check ACME_TOKEN"),
        (422, '{"code": "sold_out"}', CapacityError, 'refused with 422: {"code": "sold_out"}'),
        (422, '{"code": "in_use"}', TakenError, "in_use"),
        (422, '{"code": "other"}', NothingMadeError, "other"),
        (429, "{}", BusyRateError, "429"),
        (500, "{}", UnansweredError, "500"),
        (502, "<html>", UnansweredError, "an unreadable page"),
        (200, "<html>", UnansweredError, "the answer is not JSON"),
        (200, "[]", UnansweredError, "the answer is not a JSON object"),
    ],
)
def test_each_failure_has_its_class_and_says_what_was_asked(
    status: int, body: str, kind: type[ProviderError], said: str
) -> None:
    with (
        answering(status, body, Retry_After="7") as (url, _),
        pytest.raises(ProviderError) as raised,
    ):
        client(url).ask("GET", "/machines")

    assert type(raised.value) is kind
    assert str(raised.value).startswith("acme: GET /machines")
    assert said in str(raised.value)
    assert SECRET not in str(raised.value)
    if status >= 400:
        assert raised.value.retry_after == timedelta(seconds=7)


def test_nothing_there_is_no_error_and_an_empty_answer_is_one_without_fields() -> None:
    with answering(404, "{}") as (url, _):
        assert client(url).ask("GET", "/machines/x") is None
    with answering(200, "") as (url, _):
        assert client(url).ask("GET", "/machines/x") == {}


def test_the_credentials_do_not_follow_a_redirection() -> None:
    with (
        answering(200, "{}") as (other, came),
        answering(302, "{}", Location=other) as (url, _),
        pytest.raises(ProviderError, match="302"),
    ):
        client(url).ask("GET", "/machines")

    assert came == []


def test_a_token_with_a_character_that_no_header_takes_is_not_repeated() -> None:
    with (
        answering(200, "{}") as (url, _),
        pytest.raises(CredentialsError, match="check ACME_TOKEN") as raised,
    ):
        client(url, "gehe\u20acim").ask("GET", "/machines")

    assert "gehe" not in str(raised.value)


def test_an_address_that_does_not_answer_is_named() -> None:
    with answering(200, "{}") as (url, _):
        pass
    with pytest.raises(UnansweredError, match=r"127\.0\.0\.1"):
        client(url).ask("GET", "/machines")
