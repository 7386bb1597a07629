"""A request as a service sees it, its answer, and the errors a service documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class BadBody(Exception):  # noqa: N818 -- as Refusal
    """The body of a request lacks what the API wants; the service says so in its own words."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}")


def counted(request: Request, name: str, default: int) -> int:
    """A number of the query that counts from 1.

    Raises:
        BadBody: it is none.
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
        target: Path and query as they were sent.
        headers: Names in lower case.
        body: As it was sent.
        origin: Scheme, host and port as the client sees them, for example `http://127.0.0.1:4711`.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    origin: str = ""

    @property
    def path(self) -> str:
        """Without the query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> list[tuple[str, str]]:
        """All parameters in order; one name may come several times."""
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
        """A field that the body must have.

        Raises:
            BadBody: it is absent, or of another kind.
        """
        value = self.json.get(name)
        if not isinstance(value, kind):
            raise BadBody(name, "missing" if value is None else f"is {value!r}")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer.

    Attributes:
        status: Of HTTP.
        body: Sent as JSON; bytes and text are sent as they are.
        headers: Beside Content-Length and Content-Type, which may be overridden here.
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


class Refusal(Exception):  # noqa: N818 -- it is how a route says no, not a fault of the emulator
    """Raised inside a route to answer with an error from any depth."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(f"{answer.status}: {answer.body!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What was asked and what was answered; the service keeps one for each request.

    Attributes:
        method: In capitals.
        path: Without the query.
        target: With the query.
        body: As it was sent.
        status: Of the answer; 0 when the connection was dropped without one.
        answered: The body of the answer, before it was made bytes.
    """

    method: str
    path: str
    target: str
    body: bytes
    status: int
    answered: object = None


# Errors that any service may answer, whatever its API: a proxy in front of it does.
GATEWAY_ERRORS: Mapping[str, Answer] = {
    "bad_gateway": Answer(status=502, body="<html><h1>502 Bad Gateway</h1></html>"),
    "gateway_timeout": Answer(status=504, body="<html><h1>504 Gateway Time-out</h1></html>"),
    "not_json": Answer(status=200, body="<html><h1>Welcome to the login page</h1></html>"),
}


def route(method: str, path: str, *, public: bool = False) -> Callable[[F], F]:
    """Mark a method of a Service as the answer to *method* and *path*.

    Parts such as `{id}` in the path match one segment and become keyword arguments, as text.
    A *public* route is answered without credentials.
    """

    def mark(function: F) -> F:
        function.__dict__.setdefault("routes", []).append((method, path, public))
        return function

    return mark
