"""Pulumi ESC: read the variables of an environment with the REST API of Pulumi Cloud.

The client opens an environment, which evaluates it, and reads it by the id of that session
(pulumi.com/docs/pulumi-cloud/reference/environments, 2026-11). The answer has `properties`; each is

    {"value": V, "secret": true, "unknown": true, "trace": {...}}

where `secret` and `unknown` are there only when true, and V is text, a number, true or false, null,
or a list or object of such values. Variables are the scalars in the value of
`environmentVariables`; `esc run` puts the same ones into the environment of a program.

materia does not use the SDK: pulumi-esc-sdk 0.14.0 reduces every object with a key `value` to that
value, so a variable of this name loses all the others. Its import also takes five times as long.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from materia.errors import VariableError

from materia_runner.install_hints import install_command

if TYPE_CHECKING:
    import httpx

CLOUD = "https://api.pulumi.com"
HEADERS = {"accept": "application/vnd.pulumi+8", "content-type": "application/json"}
VARIABLES = "environmentVariables"
CONNECT_SECONDS = 5.0
PATIENCE = timedelta(seconds=30)  # opening may fetch credentials of other services first
PAUSES_SECONDS = (0.5, 1.0)  # between three attempts


class EscError(Exception):
    """The environment cannot be read; the message says why and what to do, without secrets."""


class _PassingError(EscError):
    """A temporary error: retry after *pause* seconds, or after the usual pause."""

    def __init__(self, message: str, pause: float | None = None) -> None:
        self.pause = pause
        super().__init__(message)


class _AbsentError(EscError):
    """The environment or the session does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """Variables of an environment.

    Attributes:
        values: Values by name, without those that are empty, not scalar or not yet known.
        others: Names of its other properties, which are not variables.
    """

    values: Mapping[str, str]
    others: frozenset[str]


def read_variables(
    environment: str, *, token: str, url: str = CLOUD, patience: timedelta = PATIENCE
) -> Variables:
    """Open *environment* and read its variables, with three attempts for temporary errors.

    Temporary errors are: no answer, 429 and 5xx.

    Args:
        environment: `organization/project/name`, or `project/name` in the default organization of
            the token; `@version` may follow.
        token: An access token of Pulumi Cloud.
        url: Address of the API; its path is ignored.
        patience: Time limit for all requests.

    Raises:
        EscError: the environment cannot be read.
    """
    token = token.strip()
    if not (token.isascii() and token.isprintable()):
        raise EscError("PULUMI_ACCESS_TOKEN has characters that no token has; set it again")
    end = time.monotonic() + patience.total_seconds()
    pauses = iter(PAUSES_SECONDS)
    with _client(_base(url), token, patience) as client:
        api = _Api(client, token, end)
        while True:
            try:
                return variables(_properties(api, environment))
            except _PassingError as error:
                pause = next(pauses, None)
                pause = pause if pause is None or error.pause is None else error.pause
                if pause is None or time.monotonic() + pause > end:
                    raise
                time.sleep(pause)


def variables(properties: Mapping[str, Any]) -> Variables:
    """The variables in the `properties` of an answer, by the rules of `esc run`."""
    given = properties.get(VARIABLES)
    inside = given.get("value") if isinstance(given, dict) else None
    values = {}
    for name, one in inside.items() if isinstance(inside, dict) else ():
        if isinstance(one, dict) and not one.get("unknown") and (text := _text(one.get("value"))):
            values[name] = text
    return Variables(values=values, others=frozenset(properties) - {VARIABLES})


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else ""  # numbers are parsed as text


def _properties(api: _Api, environment: str) -> Mapping[str, Any]:
    path, session = _open(api, environment)
    try:
        answer = api.ask("GET", f"{path}/open/{quote(session, safe='')}")
    except _AbsentError as error:
        raise _PassingError("its session ended before it was read; try again") from error
    properties = answer.get("properties")
    return properties if isinstance(properties, dict) else {}


def _open(api: _Api, environment: str) -> tuple[str, str]:
    """Open the environment: its path in the API and the id of the session."""
    environment, _, version = environment.partition("@")
    opening = f"/versions/{quote(version, safe='')}/open" if version else "/open"
    for parts in _places(api, environment.split("/")):
        path = "/api/esc/environments/" + "/".join(quote(part, safe="") for part in parts)
        try:
            session = api.ask("POST", f"{path}{opening}").get("id")
        except _AbsentError:
            continue
        if isinstance(session, str) and session:
            return path, session
        raise EscError("it answered without a session; is PULUMI_BACKEND_URL right?")
    raise EscError(
        "there is no such environment, or the token may not see it; "
        'write it as "organization/project/name"'
    )


def _places(api: _Api, parts: list[str]) -> Iterator[list[str]]:
    """The full names that an environment may have, by the rules of Pulumi's command line."""
    if len(parts) != 2:
        yield parts
        return
    try:
        organization = api.ask("GET", "/api/user/organizations/default").get("GitHubLogin")
    except _PassingError:
        raise
    except EscError:  # older servers, and tokens of teams and stacks, have no default
        organization = None
    if isinstance(organization, str) and organization:
        yield [organization, *parts]
    yield [parts[0], "default", parts[1]]  # before there were projects: organization/name


def _base(url: str) -> str:
    split = urlsplit(url)
    if split.scheme not in {"http", "https"} or not split.hostname:
        raise EscError(
            "PULUMI_BACKEND_URL is not an address of Pulumi Cloud; unset it, or set another"
        )
    if split.scheme == "http" and not _is_here(split.hostname):
        raise EscError("PULUMI_BACKEND_URL must begin with https://, because it gets the token")
    return f"{split.scheme}://{split.netloc}"


def _is_here(host: str) -> bool:
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _client(base: str, token: str, patience: timedelta) -> Iterator[httpx.Client]:
    try:
        import httpx
        from materia_http.client import client as make_client
    except ImportError as error:
        command = install_command("materia-runner[esc]")
        raise EscError(f"it needs httpx, which is not installed; to add it: {command}") from error
    timeout = httpx.Timeout(patience.total_seconds(), connect=CONNECT_SECONDS)
    headers = {**HEADERS, "authorization": f"token {token}"}
    try:
        made = make_client(base, base_url=base, headers=headers, timeout=timeout)
    except VariableError as error:
        raise EscError(str(error)) from error
    with made as client:
        yield client


@dataclass(frozen=True, slots=True)
class _Api:
    client: httpx.Client
    token: str
    end: float

    @property
    def host(self) -> str:
        return self.client.base_url.host

    def ask(self, method: str, path: str) -> dict[str, Any]:
        """Send a request and return the JSON object of the answer.

        Raises:
            EscError: there is no answer, or the answer is an error or not a JSON object.
        """
        import httpx

        try:
            with self.client.stream(method, path) as response:
                body = self._read(response)
        except httpx.TimeoutException as error:
            raise _PassingError(f"no answer from {self.host} in time") from error
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise _PassingError(f"{self.host} cannot be reached: {reason}") from error
        if response.status_code == 200:
            return _object(body)
        raise self._refusal(response, body)

    def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if time.monotonic() > self.end:
                raise EscError(f"{self.host} is too slow; try again later")
        return bytes(body)

    def _refusal(self, response: httpx.Response, body: bytes) -> EscError:
        status = response.status_code
        said = self._said(body)
        if status == 401:
            return EscError(
                "PULUMI_ACCESS_TOKEN was refused; set a new one, "
                "from https://app.pulumi.com/account/tokens"
            )
        if status == 403:
            return EscError(f"the token may not open it{said}; ask an administrator for that right")
        if status == 404:
            return _AbsentError(f"there is no such environment{said}")
        if status == 429 or status >= 500:
            after = response.headers.get("retry-after", "")
            pause = float(after) if after.isascii() and after.isdecimal() else None
            return _PassingError(f"the answer was {status}{said}; try again later", pause)
        if status == 400:
            return EscError(f"it cannot be opened{said}")
        return EscError(f"the answer was {status}{said}; is PULUMI_BACKEND_URL right?")

    def _said(self, body: bytes) -> str:
        """The message of an answer, with errors in the definition of the environment."""
        try:
            answer = json.loads(body)
            texts = [str(answer["message"])] if answer.get("message") else []
            for fault in answer.get("diagnostics") or ():
                place = fault.get("range") or {}
                line = (place.get("begin") or {}).get("line")
                where = f"{place.get('environment')} line {line}: " if line else ""
                texts.append(f"{where}{fault.get('summary')}")
        except (ValueError, AttributeError, TypeError, KeyError):
            return ""  # not JSON: the error page of a gateway
        from materia_runner.secrets.redaction import redact

        return redact("".join(f" ({' '.join(text.split())})" for text in texts), [self.token])


def _object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body, parse_int=str, parse_float=str)
    except ValueError as error:
        raise EscError("the answer is not JSON; is PULUMI_BACKEND_URL right?") from error
    if not isinstance(answer, dict):
        raise EscError("the answer is not a JSON object; is PULUMI_BACKEND_URL right?")
    return answer
