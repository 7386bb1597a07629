"""The clouds' SDKs say nothing of their own on the screen, least of all a secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from fakes.examples import of_each_kind
from fakes.workshop import Workshop
from materia_testing.emulation import Fault, Service
from materia_testing.emulation.services import find_services, service_class

# What the emulated clouds answer with, all requests alike: an SDK may warn, retry or dump a body.
FAULTS = {
    "works": None,
    "server error": Fault(error="server_error"),
    "refused": Fault(error="unauthorized"),
    "page": Fault(error="not_json"),
    "dropped": Fault(drop="before"),
}


@pytest.fixture
def services() -> Iterator[dict[str, Service]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(service_class(name)()) for name in find_services()}


@pytest.mark.parametrize("fault", of_each_kind(FAULTS, "works", "server error"))
def test_nothing_is_on_the_screen_but_what_materia_says(
    workshop: Workshop, services: dict[str, Service], fault: str
) -> None:
    secrets: dict[str, str] = {}
    tables = []
    for name, service in services.items():
        secrets |= service.secrets()
        settings = [f"{key} = {json.dumps(value)}" for key, value in service.settings().items()]
        tables.append("\n".join([f"[providers.{name}]", *settings]))
        if (happens := FAULTS[fault]) is not None:
            service.faults.next("*", "*", happens, times=None)
    workshop.write("materia.toml", "\n".join(tables))

    ended = workshop.run("providers", "list", "--check", "--json", environment=secrets)

    assert ended.stderr == ""
    listed = {one["name"]: one for one in json.loads(ended.stdout)}
    for name in services:
        assert (listed[name]["error"] is None) == (fault == "works"), listed[name]
    # A region is no secret, though it comes in a variable.
    hidden = {value for name, value in secrets.items() if not name.endswith("REGION")}
    assert [value for value in hidden if value in ended.stdout] == []
