"""Stand-in for the provider `pulumiservice`: environments of ESC, at Pulumi Cloud's own API."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from fakes.pulumi_engine.plugin import Kind, serve

VERSION = "1.5.0"


def ask(method: str, path: str, body: str | None = None) -> str | None:
    """The answer to a request; None for what is not there."""
    request = urllib.request.Request(  # noqa: S310 -- the emulator's address
        f"{os.environ['PULUMI_BACKEND_URL']}/api/esc/environments/{path}",
        method=method,
        data=None if body is None else body.encode(),
        headers={"Authorization": f"token {os.environ['PULUMI_ACCESS_TOKEN']}"},
    )
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 -- as above
            text: str = answer.read().decode()
            return text
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


class Environment:
    """An environment, whose id is `organization/project/name`."""

    replaces = frozenset({"organization", "project", "name"})

    def create(self, inputs: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """Make it, then define it."""
        body = json.dumps({"project": inputs["project"], "name": inputs["name"]})
        ask("POST", inputs["organization"], body)
        identity = "/".join(inputs[part] for part in ("organization", "project", "name"))
        ask("PATCH", identity, inputs["yaml"])
        return identity, {}

    def read(self, identity: str, inputs: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Whether it is there; the engine keeps no text to compare."""
        return None if ask("GET", identity) is None else inputs

    def update(
        self, identity: str, _: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Define it anew."""
        ask("PATCH", identity, new["yaml"])
        return {}

    def delete(self, identity: str, _: Mapping[str, Any]) -> None:
        """Delete it."""
        ask("DELETE", identity)


def configure(_: Mapping[str, str]) -> Mapping[str, Kind]:
    """Environments alone."""
    return {"pulumiservice:index:Environment": Environment()}


def call(function: str, _: Mapping[str, Any]) -> Mapping[str, Any]:
    """The program asks pulumiservice nothing."""
    raise NotImplementedError(function)


if __name__ == "__main__":
    serve(VERSION, configure, call)
