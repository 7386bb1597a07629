"""An emulated service: routes, faults, dropped lines, and its own mistakes, which never hide."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from materia_testing import emulation
from materia_testing.emulation import (
    Answer,
    BadBody,
    Booting,
    Fault,
    Faults,
    Refusal,
    Request,
    Service,
    route,
)
from materia_testing.emulation.exchange import counted

PATH = "/things/*"


class Things(Service):
    provider = "things"
    create_call = delete_call = list_call = offers_call = ("GET", PATH)
    errors: ClassVar[Mapping[str, Answer]] = {"sold_out": Answer(status=412, body={"sold": "out"})}

    def __init__(self) -> None:
        super().__init__()
        self.made: list[str] = []

    def secrets(self) -> dict[str, str]:
        return {"THINGS_TOKEN": "t"}

    def settings(self) -> dict[str, object]:
        return {"api_url": self.url}

    def authenticate(self, request: Request) -> Answer | None:
        return None if request.headers.get("token") == "t" else Answer(status=401, body="no")

    def no_route(self, request: Request) -> Answer:
        return Answer(status=404, body={"path": request.path})

    def bad_body(self, request: Request, bad: BadBody) -> Answer:
        return Answer(status=400, body={"field": bad.field, "reason": bad.reason})

    def add_foreign(self) -> None:
        self.made.append("foreign")

    def user_data(self, identity: str) -> str:
        raise KeyError(identity)

    @route("GET", "/things/{name}")
    def get(self, request: Request, name: str) -> Answer:
        self.made.append(name)
        return Answer(body={"name": name, "sizes": request.all("size")})

    @route("POST", "/things")
    def post(self, request: Request) -> Answer:
        if request.field("count", int) > 3:
            raise Refusal(Answer(status=409, body={"too": "many"}))
        return Answer(status=204)

    @route("GET", "/open", public=True)
    def public(self, request: Request) -> Answer:
        return Answer(body="<p>welcome</p>")

    @route("GET", "/broken")
    def broken(self, request: Request) -> Answer:
        raise ZeroDivisionError


@pytest.fixture
def things() -> Iterator[Things]:
    with Things() as things:
        yield things


def ask(
    things: Things,
    method: str,
    path: str,
    body: str | None = None,
    *,
    token: str = "t",  # noqa: S107 -- no secret
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(things.url.removeprefix("http://"), timeout=5)
    try:
        connection.request(method, path, body, headers={"token": token})
        response = connection.getresponse()
        raw = response.read().decode()
        is_json = response.headers["Content-Type"] == "application/json"
        return response.status, json.loads(raw) if is_json and raw else raw
    finally:
        connection.close()


def test_parts_of_the_path_and_the_query_reach_the_route(things: Things) -> None:
    assert ask(things, "GET", "/things/a?size=1&size=2") == (
        200,
        {"name": "a", "sizes": ["1", "2"]},
    )


def test_a_path_that_is_not_there_and_a_body_that_lacks_something_are_refused(
    things: Things,
) -> None:
    assert ask(things, "GET", "/elsewhere") == (404, {"path": "/elsewhere"})
    assert ask(things, "POST", "/things", '{"count": "x"}') == (
        400,
        {"field": "count", "reason": "is 'x'"},
    )
    assert ask(things, "POST", "/things", "[1]")[0] == 400
    assert ask(things, "POST", "/things", "{")[0] == 400
    assert ask(things, "POST", "/things", '{"count": 4}') == (409, {"too": "many"})
    assert ask(things, "POST", "/things", '{"count": 3}') == (204, "")


def test_only_public_routes_are_open_to_strangers(things: Things) -> None:
    assert ask(things, "GET", "/things/a", token="x")[0] == 401  # noqa: S106 -- no secret
    assert ask(things, "GET", "/elsewhere", token="x")[0] == 401  # noqa: S106 -- no secret
    assert ask(things, "GET", "/open", token="x") == (200, "<p>welcome</p>")  # noqa: S106 -- as above


def test_an_error_comes_once_and_has_no_effect(things: Things) -> None:
    things.faults.next("GET", PATH, Fault(error="sold_out"))

    assert ask(things, "GET", "/things/a") == (412, {"sold": "out"})
    assert things.made == []
    assert things.faults.pending == 0
    assert ask(things, "GET", "/things/a")[0] == 200


def test_a_gateway_in_front_answers_for_any_service(things: Things) -> None:
    things.faults.next("*", "*", Fault(error="bad_gateway"))

    status, page = ask(things, "GET", "/things/a")

    assert status == 502
    assert page.startswith("<html>")


@pytest.mark.parametrize(("drop", "made"), [("before", []), ("after", ["a"])])
def test_a_dropped_request_had_no_effect_or_its_whole_effect(
    things: Things, drop: Any, made: list[str]
) -> None:
    things.faults.next("GET", PATH, Fault(drop=drop))

    with pytest.raises(ConnectionError):
        ask(things, "GET", "/things/a")

    assert things.made == made
    assert [exchange.status for exchange in things.exchanges] == [0]


def test_a_slow_answer_comes_after_its_effect(things: Things) -> None:
    things.faults.next("GET", PATH, Fault(slow=0.2))
    began = time.monotonic()

    assert ask(things, "GET", "/things/a")[0] == 200

    assert time.monotonic() - began >= 0.2
    assert things.made == ["a"]


@pytest.mark.parametrize(("handled", "made"), [(True, ["a", "b"]), (False, ["a"])])
def test_a_line_that_is_cut_stays_dead_until_it_is_mended(
    things: Things, made: list[str], *, handled: bool
) -> None:
    things.faults.cut(2, handled=handled)

    ask(things, "GET", "/things/a")
    for name in ("b", "c", "d"):
        with pytest.raises(ConnectionError):
            ask(things, "GET", f"/things/{name}")

    assert things.made == made
    things.faults.clear()
    assert ask(things, "GET", "/things/e")[0] == 200


def test_faults_count_from_when_they_are_given() -> None:
    faults = Faults()
    faults.meet("GET", "/a")
    faults.at(2, Fault(error="x"))
    faults.at(3, Fault(error="y"), lasting=True)

    met = [faults.meet("GET", "/a") for _ in range(4)]

    assert [fault and fault.error for fault in met] == [None, "x", "y", "y"]
    assert faults.seen == 5


def test_faults_for_a_path_leave_the_others_alone() -> None:
    faults = Faults()
    faults.next("DELETE", "/v1/servers/*", Fault(error="x"), times=2)

    met = [
        faults.meet(*call)
        for call in (
            ("DELETE", "/v1/servers/1"),
            ("GET", "/v1/servers/1"),
            ("DELETE", "/v1/servers"),
            ("DELETE", "/v1/servers/2"),
            ("DELETE", "/v1/servers/3"),
        )
    ]

    assert [fault is not None for fault in met] == [True, False, False, True, False]


def test_a_fault_that_is_not_documented_cannot_be_injected(things: Things) -> None:
    with pytest.raises(KeyError):
        things.error("no such error")


def test_a_mistake_of_the_emulator_is_raised_when_it_closes() -> None:
    things = Things().start()

    status, _ = ask(things, "GET", "/broken")

    assert status == 500
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        things.close()


def test_instances_without_a_machine_get_addresses_where_nothing_answers(things: Things) -> None:
    addresses = {things.documentation_address() for _ in range(300)}

    assert things.power_on(Booting(provider="things", id="1", name="a")) is None
    assert len(addresses) == 300
    assert all(address.startswith(("192.0.2.", "198.51.100.")) for address in addresses)


def test_the_emulated_cloud_needs_no_pytest() -> None:
    code = (
        "import pkgutil, importlib, sys\n"
        "import materia_testing.emulation as cloud\n"
        "packages = pkgutil.walk_packages(cloud.__path__, f'{cloud.__name__}.')\n"
        "found = [one.name for one in packages]\n"
        "for name in found:\n"
        "    importlib.import_module(name)\n"
        "assert 'pytest' not in sys.modules\n"
        "print('imported', len(found))\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    [folder] = emulation.__path__
    assert int(done.stdout.split()[1]) == len(list(Path(folder).rglob("*.py"))) - 1


@pytest.mark.parametrize("plugin", ["materia_hetzner", "materia_ovh"])
def test_declaring_a_provider_imports_no_sdk(plugin: str) -> None:
    code = (
        f"import sys, {plugin} as plugin\n"
        "plugin.materia_providers()\n"
        "print(*(name for name in ('hcloud', 'ovh', 'httpx', 'requests') if name in sys.modules))\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


@pytest.mark.parametrize("asked", ["0", "-1", "two", ""])
def test_a_page_that_cannot_be_is_refused(asked: str) -> None:
    request = Request(
        method="GET", target=f"/things?page={asked}", headers={}, body=b"", origin="http://x"
    )

    with pytest.raises(BadBody, match="page: must be a number from 1"):
        counted(request, "page", 1)
    assert counted(request, "per_page", 25) == 25
