"""Stand-in for the provider `cloudflare`: an account as a JSON file.

The file that STAND_IN_ACCOUNT names has ids, with the kind and inputs of each resource.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fakes.pulumi_engine.plugin import Kind, serve

VERSION = "6.23.1"
REPLACES = {
    "R2Bucket": frozenset({"accountId", "name", "jurisdiction", "location"}),
    "R2BucketLifecycle": frozenset({"accountId", "bucketName", "jurisdiction"}),
    "R2DataCatalog": frozenset({"accountId", "bucketName"}),
    "AccountToken": frozenset({"accountId"}),
}
TOKENS = {
    "R2Bucket": "cloudflare:index/r2Bucket:R2Bucket",
    "R2BucketLifecycle": "cloudflare:index/r2BucketLifecycle:R2BucketLifecycle",
    "R2DataCatalog": "cloudflare:index/r2DataCatalog:R2DataCatalog",
    "AccountToken": "cloudflare:index/accountToken:AccountToken",
}
GROUPS = ("Workers R2 Storage Bucket Item Write", "Workers R2 Data Catalog Write")
LOCK = threading.Lock()


@contextmanager
def account() -> Iterator[dict[str, Any]]:
    """What is in the account; a change is kept."""
    file = Path(os.environ["STAND_IN_ACCOUNT"])
    with LOCK:
        content = json.loads(file.read_text()) if file.exists() else {}
        yield content
        file.write_text(json.dumps(content, indent=1))


class Kept:
    """Resources of one kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.replaces = REPLACES[kind]

    def create(self, inputs: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        with account() as content:
            number = 1 + max((one["number"] for one in content.values()), default=0)
            identity = f"{self.kind}-{number}"
            content[identity] = {"kind": self.kind, "number": number, "inputs": dict(inputs)}
        # As with Cloudflare, the value of a token is shown once, and is not in the account.
        return identity, {"value": f"planted-{identity}"} if self.kind == "AccountToken" else {}

    def read(self, identity: str, _: Mapping[str, Any]) -> Mapping[str, Any] | None:
        with account() as content:
            found = content.get(identity)
        inputs: Mapping[str, Any] | None = found and found["inputs"]
        return inputs

    def update(
        self, identity: str, _: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        with account() as content:
            content[identity]["inputs"] = dict(new)
        return {}

    def delete(self, identity: str, _: Mapping[str, Any]) -> None:
        with account() as content:
            content.pop(identity, None)


def configure(_: Mapping[str, str]) -> Mapping[str, Kind]:
    """All kinds."""
    return {token: Kept(kind) for kind, token in TOKENS.items()}


def call(function: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Cloudflare's permission groups."""
    if "PermissionGroups" not in function:
        raise NotImplementedError(function)
    groups = [
        {"id": str(number) * 32, "name": name, "scopes": []}
        for number, name in enumerate(GROUPS, start=1)
    ]
    return {"accountId": asked["accountId"], "results": groups}


if __name__ == "__main__":
    serve(VERSION, configure, call)
