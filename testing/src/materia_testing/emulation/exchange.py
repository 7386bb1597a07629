"""HTTP requests, answers, routes and documented errors of an emulated service."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class BadBody(Exception):  # noqa: N818 -- like Refusal, not a fault of the emulator
    """The body of a request is invalid; the service answers in its own format."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}")


def counted(request: Request, name: str, default: int) -> int:
    """A number from 1 in the query.

    Raises:
        BadBody: it is not a number from 1.
    """
    text = request.first(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise BadBody(name, f"must be a number from 1, is {text!r}")
    return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request.

    Attributes:
        method: In capitals.
        target: Path and query of the request.
        headers: Names in lower case.
        body: The raw body.
        origin: Scheme, host and port as the client sees them, for example `http://127.0.0.1:4711`.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    origin: str = ""

    @property
    def path(self) -> str:
        """The path without the query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> list[tuple[str, str]]:
        """All query parameters in order; a name may occur several times."""
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)

    def all(self, name: str) -> list[str]:
        """Every value of that query parameter."""
        return [value for key, value in self.query if key == name]

    def first(self, name: str, default: str = "") -> str:
        """The first value of that query parameter."""
        return next(iter(self.all(name)), default)

    @property
    def json(self) -> dict[str, Any]:
        """The body read as a JSON object; empty for an empty one.

        Raises:
            BadBody: it is not a JSON object.
        """
        try:
            value = json.loads(self.body) if self.body else {}
        except ValueError as error:
            raise BadBody("body", f"not JSON: {error}") from error
        if not isinstance(value, dict):
            raise BadBody("body", "not a JSON object")
        return value

    def field(self, name: str, kind: type[T] | tuple[type[T], ...]) -> T:
        """A required field of the body.

        Raises:
            BadBody: the field is missing or has another type.
        """
        value = self.json.get(name)
        if not isinstance(value, kind):
            raise BadBody(name, "missing" if value is None else f"is {value!r}")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer.

    Attributes:
        status: The HTTP status.
        body: Sent as JSON; bytes and text are sent unchanged.
        headers: Headers beside Content-Length and Content-Type, or overriding those.
    """

    status: int = 200
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> tuple[bytes, dict[str, str]]:
        """The bytes to send, and all headers."""
        if isinstance(self.body, bytes):
            raw, kind = self.body, "application/octet-stream"
        elif isinstance(self.body, str):
            raw, kind = self.body.encode(), "text/html"
        elif self.status == 204:  # has no body by definition
            raw, kind = b"", "application/json"
        else:
            raw, kind = json.dumps(self.body).encode(), "application/json"
        return raw, {"Content-Type": kind, "Content-Length": str(len(raw)), **self.headers}


class Refusal(Exception):  # noqa: N818 -- the refusal of a route, not a fault of the emulator
    """Raised inside a route, at any depth, to answer with an error."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(f"{answer.status}: {answer.body!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request and its answer; the service keeps one for each request.

    Attributes:
        method: In capitals.
        path: Without the query.
        target: With the query.
        body: The raw body.
        status: Status of the answer; 0 when the connection was dropped without one.
        answered: The body of the answer before its encoding.
    """

    method: str
    path: str
    target: str
    body: bytes
    status: int
    answered: object = None


# Errors of every service: a proxy in front of it can answer them.
GATEWAY_ERRORS: Mapping[str, Answer] = {
    "bad_gateway": Answer(status=502, body="<html><h1>502 Bad Gateway</h1></html>"),
    "gateway_timeout": Answer(status=504, body="<html><h1>504 Gateway Time-out</h1></html>"),
    "not_json": Answer(status=200, body="<html><h1>Welcome to the login page</h1></html>"),
}


def route(method: str, path: str, *, public: bool = False) -> Callable[[F], F]:
    """Mark a method of a Service as the answer to *method* and *path*.

    Parts such as `{id}` in the path match one segment and become keyword arguments, as text.
    A *public* route needs no credentials.
    """

    def mark(function: F) -> F:
        function.__dict__.setdefault("routes", []).append((method, path, public))
        return function

    return mark
