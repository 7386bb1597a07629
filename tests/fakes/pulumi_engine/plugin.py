"""A resource provider for the real Pulumi engine: the part of a plugin that every provider has.

The published providers cannot be fetched without their release pages. This speaks their protocol
(pulumi/provider.proto), and leaves what a resource is to `hetzner.py` and `accounts.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, Protocol

import grpc
from google.protobuf import empty_pb2, struct_pb2
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

SECRET = "4dabf18193072939515e22adb298388d"  # noqa: S105 -- marks a secret in the protocol


class Kind(Protocol):
    """What a provider can do with resources of one kind; values are plain JSON."""

    replaces: frozenset[str]
    """Inputs whose change makes another resource."""

    def create(self, inputs: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """Make one; returns its id and what the provider adds to its inputs."""

    def read(self, identity: str, inputs: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Its inputs and additions as they are now; None when it is gone."""

    def update(
        self, identity: str, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Change it; returns what the provider adds."""

    def delete(self, identity: str, inputs: Mapping[str, Any]) -> None:
        """Delete it; one that is gone is no error."""


Call = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


def serve(
    version: str, configure: Callable[[Mapping[str, str]], Mapping[str, Kind]], call: Call
) -> None:
    """Serve until the engine ends this process.

    Args:
        version: That of the published SDK.
        configure: The kinds by their token, such as `hcloud:index/server:Server`, from the
            provider's configuration.
        call: Answers a function of the provider.
    """
    server = grpc.server(ThreadPoolExecutor(4))
    servicer = SimpleNamespace(**dict.fromkeys(_methods(), _unimplemented))
    servicer.__dict__.update(_answers(version, configure, call))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)  # type: ignore[arg-type,unused-ignore]  # it has every method
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


def _methods() -> list[str]:
    (service,) = provider_pb2.DESCRIPTOR.services_by_name.values()
    return [method.name for method in service.methods]


def _unimplemented(_: Any, context: Any) -> None:
    context.abort(grpc.StatusCode.UNIMPLEMENTED, "the stand-in has no use for it")


def _answers(
    version: str, configure: Callable[[Mapping[str, str]], Mapping[str, Kind]], call: Call
) -> dict[str, Any]:
    kinds: dict[str, Kind] = {}

    def kind(request: Any) -> Kind:
        return kinds[request.urn.split("::")[2].split("$")[-1]]

    def configured(request: Any, _: Any) -> Any:
        # `hcloud:config:token` from the stack, `token` without the name of the package.
        given = {name.rpartition(":")[2]: value for name, value in request.variables.items()}
        kinds.update(configure(given))
        return provider_pb2.ConfigureResponse(supportsPreview=False)

    def differ(request: Any, _: Any) -> Any:
        old, new = plain(request.old_inputs), plain(request.news)
        changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
        response = provider_pb2.DiffResponse
        return response(
            changes=response.DIFF_SOME if changed else response.DIFF_NONE,
            diffs=changed,
            replaces=[key for key in changed if key in kind(request).replaces],
        )

    def create(request: Any, _: Any) -> Any:
        inputs = plain(request.properties)
        identity, more = kind(request).create(inputs)
        return provider_pb2.CreateResponse(id=identity, properties=struct({**inputs, **more}))

    def read(request: Any, _: Any) -> Any:
        inputs = plain(request.inputs)
        found = kind(request).read(request.id, inputs)
        if found is None:
            return provider_pb2.ReadResponse(id="")
        now, state = (
            _updated(MessageToDict(known), found) for known in (request.inputs, request.properties)
        )
        now = {key: now[key] for key in inputs}
        return provider_pb2.ReadResponse(
            id=request.id, properties=struct(state), inputs=struct(now)
        )

    def update(request: Any, _: Any) -> Any:
        new = plain(request.news)
        more = kind(request).update(request.id, plain(request.old_inputs), new)
        state = {**plain(request.olds), **new, **more}
        return provider_pb2.UpdateResponse(properties=struct(state))

    def delete(request: Any, _: Any) -> Any:
        kind(request).delete(request.id, plain(request.old_inputs))
        return empty_pb2.Empty()

    def invoke(request: Any, _: Any) -> Any:
        return provider_pb2.InvokeResponse(
            **{"return": struct(call(request.tok, plain(request.args)))}
        )

    return {
        "GetPluginInfo": lambda *_: plugin_pb2.PluginInfo(version=version),
        "CheckConfig": lambda request, _: provider_pb2.CheckResponse(inputs=request.news),
        "DiffConfig": lambda *_: provider_pb2.DiffResponse(),
        "Configure": configured,
        "Check": lambda request, _: provider_pb2.CheckResponse(inputs=request.news),
        "Diff": differ,
        "Create": _told(create),
        "Read": _told(read),
        "Update": _told(update),
        "Delete": _told(delete),
        "Invoke": _told(invoke),
        "Cancel": lambda *_: empty_pb2.Empty(),
        "Attach": lambda *_: empty_pb2.Empty(),
    }


def _updated(known: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """What is known, changed where another value was found.

    The rest stays in the form in which the engine sent it. Of an asset it sends no text.
    """
    assets = {key for key, one in known.items() if isinstance(one, dict) and SECRET in one}
    changed = {key: one for key, one in found.items() if plain(known.get(key)) != one}
    return {**known, **{key: one for key, one in changed.items() if key not in assets}}


def _told(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """An exception as what the engine shows to the user."""

    def answer(request: Any, context: Any) -> Any:
        try:
            return method(request, context)
        except Exception as error:  # noqa: BLE001 -- whatever it is, a person reads it
            context.abort(grpc.StatusCode.UNKNOWN, f"{type(error).__name__}: {error}")

    return answer


def plain(value: Any) -> Any:
    """A value of the protocol as plain JSON: secrets unwrapped, whole numbers as integers."""
    if isinstance(value, struct_pb2.Struct):
        return plain(MessageToDict(value))
    if isinstance(value, dict):
        if SECRET in value:  # a secret, or an asset, whose text is what counts
            return plain(value.get("value", value.get("text")))
        return {key: plain(one) for key, one in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Plain JSON as a value of the protocol."""
    made = struct_pb2.Struct()
    made.update(dict(values))
    return made
