"""Pulumi ESC as a server: environments that are opened for a while and read by session.

Follows the Pulumi Cloud REST API (pulumi.com/docs/pulumi-cloud/reference/environments, 2026-11) and
what the client in github.com/pulumi/esc sends and expects.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from materia_testing.emulation import Answer, BadBody, Request, Service, route

TOKEN = "pul-0123456789abcdef0123456789abcdef01234567"  # noqa: S105 -- made up here
ACCEPT = "application/vnd.pulumi+8"
LIFETIME = timedelta(hours=2)


def error(code: int, message: str) -> Answer:
    return Answer(status=code, body={"code": code, "message": message})


def value(of: Any, *, secret: bool = False) -> dict[str, Any]:
    """A value as the evaluator gives it: with where it was defined, and so all that is inside."""
    inside = of
    if isinstance(of, Secret):
        return value(of.of, secret=True)
    if isinstance(of, Unknown):
        return {"value": None, "unknown": True, "trace": TRACE}
    if isinstance(of, Mapping):
        inside = {name: value(each, secret=secret) for name, each in of.items()}
    elif isinstance(of, list):
        inside = [value(each, secret=secret) for each in of]
    return {"value": inside, "trace": TRACE, **({"secret": True} if secret else {})}


TRACE = {
    "def": {
        "environment": "prod",
        "begin": {"line": 2, "column": 5, "byte": 12},
        "end": {"line": 2, "column": 9, "byte": 16},
    }
}


class Secret:
    """What `fn::secret` wraps."""

    def __init__(self, of: Any) -> None:
        self.of = of


class Unknown:
    """What cannot be evaluated yet."""


class Esc(Service):
    """An organization's environments, behind one token.

    Attributes:
        environments: Plain values by `organization/project/name`; with `@version` behind it, the
            values of that version.
        forbidden: Names of environments the token may not open.
        broken: Names of environments whose definition has an error.
        organization: The token's default organization; empty when the server does not know any.
    """

    provider = "Pulumi ESC"
    errors: ClassVar[Mapping[str, Answer]] = {
        "unauthorized": error(401, "Unauthorized: No credentials provided or are invalid."),
        "forbidden": error(403, "You do not have permission to open this environment."),
        "not_found": error(404, "Not Found: environment not found"),
        "rate_limit": Answer(
            status=429,
            body={"code": 429, "message": "Too Many Requests"},
            headers={"Retry-After": "0"},
        ),
        "rate_limit_long": Answer(
            status=429,
            body={"code": 429, "message": "Too Many Requests"},
            headers={"Retry-After": "3600"},
        ),
        "server_error": error(500, "Internal Server Error"),
        "moved": Answer(status=302, headers={"Location": "http://127.0.0.1:9/stolen"}),
        "no_id": Answer(status=200, body={"diagnostics": {}}),
        "no_object": Answer(status=200, body=["not", "an", "object"]),
    }

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.environments: dict[str, dict[str, Any]] = {}
        self.forbidden: set[str] = set()
        self.broken: set[str] = set()
        self.organization = "acme"
        self._sessions: dict[str, tuple[str, datetime]] = {}

    def secrets(self) -> dict[str, str]:
        return {"PULUMI_ACCESS_TOKEN": TOKEN, "PULUMI_BACKEND_URL": self.url}

    def settings(self) -> dict[str, object]:
        return {}

    def authenticate(self, request: Request) -> Answer | None:
        if request.headers.get("authorization") != f"token {TOKEN}":
            return self.errors["unauthorized"]
        return None

    def no_route(self, request: Request) -> Answer:
        return error(404, "Not Found")

    def bad_body(self, request: Request, bad: BadBody) -> Answer:
        return error(400, f"Bad Request: {bad.reason}")

    def add_foreign(self) -> None:
        raise AssertionError("nothing is rented here")

    def user_data(self, identity: str) -> str:
        raise KeyError(identity)

    @property
    def open_sessions(self) -> int:
        return len(self._sessions)

    @route("GET", "/api/user")
    def user(self, request: Request) -> Answer:
        """Who has the token; Pulumi's own client asks for it first."""
        name = self.organization
        mine = [{"githubLogin": name, "name": name}]
        return Answer(body={"githubLogin": name, "name": name, "organizations": mine})

    @route("GET", "/api/user/organizations/default")
    def default_organization(self, request: Request) -> Answer:
        if not self.organization:
            return self.errors["not_found"]
        return Answer(body={"GitHubLogin": self.organization, "Messages": []})

    @route("POST", "/api/esc/environments/{organization}/{project}/{name}/open")
    def open(self, request: Request, organization: str, project: str, name: str) -> Answer:
        return self._open(f"{organization}/{project}/{name}")

    @route("POST", "/api/esc/environments/{organization}/{project}/{name}/versions/{version}/open")
    def open_version(
        self, request: Request, organization: str, project: str, name: str, version: str
    ) -> Answer:
        return self._open(f"{organization}/{project}/{name}@{version}")

    def _open(self, environment: str) -> Answer:
        if environment in self.forbidden:
            return self.errors["forbidden"]
        if environment in self.broken:
            place = {**TRACE["def"], "environment": environment.rpartition("/")[2]}
            fault = {"range": place, "summary": 'unknown property "nowhere"'}
            body = {"code": 400, "message": "Bad Request", "diagnostics": [fault]}
            return Answer(status=400, body=body)
        if environment not in self.environments:
            return self.errors["not_found"]
        session = f"session-{self.number()}"
        self._sessions[session] = (environment, self.now() + LIFETIME)
        return Answer(body={"id": session})

    @route("GET", "/api/esc/environments/{organization}/{project}/{name}/open/{session}")
    def read(
        self, request: Request, organization: str, project: str, name: str, session: str
    ) -> Answer:
        environment, end = self._sessions.get(session, ("", self.now()))
        asked = f"{organization}/{project}/{name}"
        if environment.partition("@")[0] != asked or self.now() >= end:
            self._sessions.pop(session, None)
            return error(404, "Not Found: open environment not found")
        given = self.environments[environment]
        properties = {key: value(each) for key, each in given.items()}
        return Answer(
            body={
                "exprs": {},
                "properties": properties,
                "schema": {"type": "object"},
                "executionContext": {"properties": {}, "schema": {}},
            }
        )
