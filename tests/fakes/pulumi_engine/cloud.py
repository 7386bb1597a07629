"""Pulumi Cloud as a server: the state of stacks, their secrets, and the environments of ESC.

As much as the client in github.com/pulumi/pulumi (pkg/backend/httpstate/client, v3.276.0) asks for
when it makes, previews and destroys a stack. It offers no capability beyond the oldest protocol: a
whole checkpoint at each step. Values are encrypted by turning them round, which a search for a
secret in the state notices as well as a cipher would.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping
from typing import Any

import yaml  # type: ignore[import-untyped]  # it has no types
from fakes.esc import TRACE, Esc, Secret
from materia_testing.emulation import Answer, Request, route

STACK = "/api/stacks/{owner}/{project}/{stack}"
LEASE = "emulated-update-token"


class PulumiCloud(Esc):
    """The service, with one organization.

    Attributes:
        states: The deployment of each stack, by `owner/project/stack`; None before the first one.
        definitions: The text of each environment that was made, by `owner/project/name`. Opening
            one puts its values together anew.
        ended: How each update ended, in order: its kind and status.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.states: dict[str, Any] = {}
        self.definitions: dict[str, str] = {}
        self.ended: list[tuple[str, str]] = []

    def authenticate(self, request: Request) -> Answer | None:
        """An update in progress has a token of its own."""
        if request.headers.get("authorization") == f"update-token {LEASE}":
            return None
        return super().authenticate(request)

    @route("GET", "/api/capabilities")
    def capabilities(self, request: Request) -> Answer:
        return Answer(body={"capabilities": []})

    @route("HEAD", "/api/stacks/{owner}/{project}")
    def has_project(self, request: Request, owner: str, project: str) -> Answer:
        known = any(name.startswith(f"{owner}/{project}/") for name in self.states)
        return Answer(status=200 if known else 404)

    @route("POST", "/api/stacks/{owner}/{project}")
    def create_stack(self, request: Request, owner: str, project: str) -> Answer:
        self.states[f"{owner}/{project}/{_body(request)['stackName']}"] = None
        return Answer(body={})

    @route("GET", STACK)
    def get_stack(self, request: Request, owner: str, project: str, stack: str) -> Answer:
        if f"{owner}/{project}/{stack}" not in self.states:
            return self.errors["not_found"]
        names = {"orgName": owner, "projectName": project, "stackName": stack}
        return Answer(body={**names, "id": stack, "activeUpdate": "", "tags": {}, "version": 1})

    @route("PATCH", STACK + "/tags")
    def tag(self, request: Request, owner: str, project: str, stack: str) -> Answer:
        return Answer(body={})

    @route("GET", STACK + "/export")
    def export(self, request: Request, owner: str, project: str, stack: str) -> Answer:
        state = self.states[f"{owner}/{project}/{stack}"]
        return Answer(body=state or {"version": 3, "deployment": None})

    # Secrets -------------------------------------------------------------------------------

    @route("POST", STACK + "/encrypt")
    def encrypt(self, request: Request, owner: str, project: str, stack: str) -> Answer:
        return Answer(body={"ciphertext": _turned(_body(request)["plaintext"])})

    @route("POST", STACK + "/decrypt")
    def decrypt(self, request: Request, owner: str, project: str, stack: str) -> Answer:
        return Answer(body={"plaintext": _turned(_body(request)["ciphertext"])})

    @route("POST", STACK + "/batch-decrypt")
    def decrypt_all(self, request: Request, owner: str, project: str, stack: str) -> Answer:
        given = _body(request)["ciphertexts"]
        return Answer(body={"plaintexts": {one: _turned(one) for one in given}})

    # Updates -------------------------------------------------------------------------------

    @route("POST", STACK + "/update")
    @route("POST", STACK + "/preview")
    @route("POST", STACK + "/refresh")
    @route("POST", STACK + "/destroy")
    def begin(self, request: Request, owner: str, project: str, stack: str) -> Answer:
        return Answer(body={"updateID": f"update-{self.number()}", "requiredPolicies": []})

    @route("POST", STACK + "/{kind}/{update}")
    def start_update(self, request: Request, **_: str) -> Answer:
        return Answer(body={"version": 1, "token": LEASE, "tokenExpiration": 2**40})

    @route("POST", STACK + "/{kind}/{update}/renew_lease")
    def renew(self, request: Request, **_: str) -> Answer:
        return Answer(body={"token": LEASE, "tokenExpiration": 2**40})

    @route("PATCH", STACK + "/{kind}/{update}/checkpoint")
    def keep(self, request: Request, owner: str, project: str, stack: str, **_: str) -> Answer:
        body = _body(request)
        known = {key: body[key] for key in ("version", "deployment")}
        self.states[f"{owner}/{project}/{stack}"] = known
        return Answer(body={})

    @route("POST", STACK + "/{kind}/{update}/events/batch")
    def events(self, request: Request, **_: str) -> Answer:
        return Answer(body={})

    @route("POST", STACK + "/{kind}/{update}/complete")
    def complete(self, request: Request, kind: str, **_: str) -> Answer:
        self.ended.append((kind, _body(request)["status"]))
        return Answer(body={})

    # Environments ----------------------------------------------------------------------------

    @route("POST", "/api/esc/environments/{owner}")
    def create_environment(self, request: Request, owner: str) -> Answer:
        body = _body(request)
        self.definitions[f"{owner}/{body['project']}/{body['name']}"] = ""
        return Answer(body={})

    @route("PATCH", "/api/esc/environments/{owner}/{project}/{name}")
    def define(self, request: Request, owner: str, project: str, name: str) -> Answer:
        self.definitions[f"{owner}/{project}/{name}"] = request.body.decode()
        return Answer(body={})

    @route("GET", "/api/esc/environments/{owner}/{project}/{name}")
    def definition(self, request: Request, owner: str, project: str, name: str) -> Answer:
        text = self.definitions.get(f"{owner}/{project}/{name}")
        return self.errors["not_found"] if text is None else Answer(body=text)

    @route("DELETE", "/api/esc/environments/{owner}/{project}/{name}")
    def drop(self, request: Request, owner: str, project: str, name: str) -> Answer:
        self.definitions.pop(f"{owner}/{project}/{name}", None)
        return Answer(body={})

    @route("POST", "/api/esc/environments/{organization}/yaml/open")
    def open_anonymous(self, request: Request, organization: str) -> Answer:
        """What `environment:` of a stack's settings names."""
        anonymous = f"{organization}/yaml/{self.number()}"
        self.definitions[anonymous] = request.body.decode()
        return self._open(anonymous)

    @route("GET", "/api/esc/environments/{organization}/yaml/open/{session}")
    def read_anonymous(self, request: Request, organization: str, session: str) -> Answer:
        environment, _ = self._sessions.get(session, ("", self.now()))
        _, _, name = environment.rpartition("/")
        return self.read(request, organization, "yaml", name, session)

    def _open(self, environment: str) -> Answer:
        if environment in self.definitions:
            owner, _, _ = environment.partition("/")
            document = yaml.safe_load(self.definitions[environment])
            values: dict[str, Any] = {}
            for name in document.get("imports", ()):
                if f"{owner}/{name}" not in self.environments:
                    fault = {"range": TRACE["def"], "summary": f"{name}: not found"}
                    return Answer(
                        status=400,
                        body={"code": 400, "message": "Bad Request", "diagnostics": [fault]},
                    )
                values = _merged(values, self.environments[f"{owner}/{name}"])
            for name, one in document.get("values", {}).items():
                values = _merged(values, {name: self._value(owner, one, values)})
            self.environments[environment] = values
        return super()._open(environment)

    def _value(self, owner: str, given: Any, known: Mapping[str, Any]) -> Any:
        """A value of a definition, with the outputs of stacks and what was defined before."""
        match given:
            case {"fn::open::pulumi-stacks": {"stacks": stacks}}:
                return {
                    name: self.outputs(f"{owner}/{one['stack']}") for name, one in stacks.items()
                }
            case dict():
                return {name: self._value(owner, one, known) for name, one in given.items()}
            case str() if found := re.fullmatch(r"\$\{([\w.]+)\}", given):
                value: Any = known
                for part in found[1].split("."):
                    value = value[part]
                return value
        return given

    def outputs(self, stack: str) -> dict[str, Any]:
        """What a stack has put out, with its secrets."""
        (one,) = (
            each
            for each in self.states[stack]["deployment"]["resources"]
            if each["type"] == "pulumi:pulumi:Stack"
        )
        return {
            name: Secret(json.loads(base64.b64decode(_turned(output["ciphertext"]))))
            if isinstance(output, dict) and "ciphertext" in output
            else output
            for name, output in one["outputs"].items()
        }


def _merged(known: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """*known* with *more*, as ESC merges imports: objects are merged, other values replaced."""
    both = {
        name: _merged(known[name], one)
        for name, one in more.items()
        if isinstance(one, dict) and isinstance(known.get(name), dict)
    }
    return {**known, **more, **both}


def _body(request: Request) -> dict[str, Any]:
    packed = request.headers.get("content-encoding") == "gzip"
    values: dict[str, Any] = json.loads(gzip.decompress(request.body) if packed else request.body)
    return values


def _turned(text: str) -> str:
    return base64.b64encode(base64.b64decode(text)[::-1]).decode()
