"""The program of infra/ without an engine: what it would make, as JSON.

Run as a script with settings on standard input: it answers what the program registered and
exported, and each input that the published SDKs do not know, miss or refuse.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "infra"))

import pulumi
import pulumi_cloudflare
import pulumi_hcloud
import pulumi_pulumiservice
from materia_infra.program import make
from materia_infra.settings import Settings, Supervisor

SDKS = {
    "cloudflare": pulumi_cloudflare,
    "hcloud": pulumi_hcloud,
    "pulumiservice": pulumi_pulumiservice,
}
GROUPS = {
    "Workers R2 Storage Bucket Item Write": "a" * 32,
    "Workers R2 Data Catalog Write": "b" * 32,
    "Workers R2 Storage Write": "c" * 32,
}
PARAMETER = re.compile(r":param (?:[^\n]*\] )?(\w+): (.*?)(?=\n\s*:param |\Z)", re.DOTALL)
VALUES = re.compile(r"Available values: ((?:\"[^\"]+\"(?:, )?)+)")
# Hetzner's SDK names values of a firewall's rule alone, between backticks.
QUOTED = {"direction", "protocol"}


class Mocks:
    """Answers as the providers do, and remembers what was asked; a `pulumi.runtime.Mocks`."""

    def __init__(self) -> None:
        self.resources: list[dict[str, Any]] = []

    def new_resource(
        self, args: pulumi.runtime.MockResourceArgs
    ) -> tuple[str | None, dict[Any, Any]]:
        self.resources.append({"type": args.typ, "name": args.name, "inputs": args.inputs})
        more = {}
        if args.typ.endswith(":AccountToken"):
            more = {"value": f"value-of-{args.name}"}
        if args.typ.endswith(":Server"):
            more = {"ipv4Address": "203.0.113.9", "ipv6Address": "2001:db8::9"}
        return str(1000 + len(self.resources)), {**args.inputs, **more}

    def call(
        self, args: pulumi.runtime.MockCallArgs
    ) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        assert "PermissionGroups" in args.token, args.token
        results = [{"id": one, "name": name, "scopes": []} for name, one in GROUPS.items()]
        return {"accountId": args.args["accountId"], "results": results}, []


def problems(resource: Mapping[str, Any]) -> list[str]:
    """What the published SDK says against the inputs of a resource."""
    package, _, kind = resource["type"].split(":")
    sdk = SDKS[package]
    return list(_problems(sdk, getattr(sdk, f"{kind}Args"), resource["inputs"], kind))


def _problems(sdk: Any, kind: Any, inputs: Mapping[str, Any], where: str) -> Any:
    code = kind.__init__
    names = [name for name in code.__annotations__ if name != "return"]
    needed = [name for name in names if name not in (code.__kwdefaults__ or {})]
    yield from (f"{where} misses {name}" for name in needed if camel(name) not in inputs)
    known = {camel(name): name for name in names}
    values = dict(PARAMETER.findall(code.__doc__ or ""))
    for key, value in inputs.items():
        if key not in known:
            yield f"{where} has no {key}"
            continue
        found = allowed(known[key], values.get(known[key], ""))
        if found and value not in found:
            yield f"{where}.{key} is {value!r}, not one of {found}"
        inner = re.search(r"'(\w+Args)'", str(code.__annotations__[known[key]]))
        if inner:
            parts = value if isinstance(value, list) else [value]
            for part in parts:
                yield from _problems(sdk, getattr(sdk, inner[1]), part, f"{where}.{key}")


def allowed(name: str, text: str) -> list[str]:
    """The values that the documentation of an input allows; none when it names none."""
    if match := VALUES.search(text):
        return re.findall('"([^"]+)"', match[1])
    return re.findall("`([^`]+)`", text) if name in QUOTED else []


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


async def _told(value: pulumi.Output[Any]) -> dict[str, Any]:
    return {"value": await value.future(), "secret": await value.is_secret()}


def main() -> None:
    wanted = json.load(sys.stdin)
    supervisor = wanted.pop("supervisor", None)
    settings = Settings(**wanted, supervisor=supervisor and Supervisor(**supervisor))
    mocks: Any = Mocks()  # no subclass: mypy also runs without Pulumi
    pulumi.runtime.set_mocks(mocks, project="materia-infra", stack="prod")
    outputs: dict[str, Any] = {}
    protected: list[str] = []
    replaced: list[str] = []

    def look(args: pulumi.ResourceTransformationArgs) -> None:
        name = f"{args.type_.rpartition(':')[2]} {args.name}"
        if args.opts.protect:
            protected.append(name)
        if args.opts.delete_before_replace:
            replaced.append(name)

    def run() -> Any:
        async def resolve(made: Mapping[str, pulumi.Output[Any]]) -> None:
            for name, value in made.items():
                outputs[name] = await _told(value)

        pulumi.runtime.register_stack_transformation(look)
        return pulumi.Output.from_input(resolve(make(settings)))

    tested: Any = pulumi.runtime.test  # it has no types
    tested(run)()
    for resource in mocks.resources:
        resource["problems"] = problems(resource)
    told = {
        "resources": mocks.resources,
        "outputs": outputs,
        "protected": protected,
        "deleted_before_replaced": replaced,
    }
    json.dump(told, sys.stdout, default=lambda asset: asset.text)


if __name__ == "__main__":
    asyncio.set_event_loop(asyncio.new_event_loop())
    main()
