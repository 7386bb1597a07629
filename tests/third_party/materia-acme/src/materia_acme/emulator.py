"""Acme's cloud on this machine, for tests and for `materia emulator`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from materia.compute import Money
from materia_testing.emulation import (
    Answer,
    BadBody,
    Booting,
    Metered,
    Refusal,
    Request,
    Service,
    route,
)

from materia_acme.provider import STARTED_MINUTES

TYPES = {"small": (2, 4, 40, "0.009"), "large": (8, 32, 160, "0.06")}


def error(status: int, reason: str) -> Answer:
    return Answer(status=status, body={"error": reason})


@dataclass(slots=True)
class Machine:
    name: str
    type: str
    labels: Mapping[str, str]
    user_data: str
    created: datetime
    address: str
    gone_at: datetime | None = None


class AcmeCloud(Service):
    provider = "acme"
    create_call = ("PUT", "/machines/*")
    delete_call = ("DELETE", "/machines/*")
    list_call = ("GET", "/machines")
    offers_call = ("GET", "/types")
    errors: ClassVar[Mapping[str, Answer]] = {
        "sold_out": error(409, "sold out"),
        "quota": error(409, "quota"),
        "taken": error(409, "taken"),
        "conflict": error(409, "try again"),
        "rate_limit": error(429, "slow down"),
        "unauthorized": error(401, "who are you"),
        "forbidden": error(403, "read only"),
        "not_found": error(404, "no such thing"),
        "server_error": error(500, "our fault"),
    }

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self._machines: dict[str, Machine] = {}

    def secrets(self) -> dict[str, str]:
        return {"ACME_TOKEN": "acme-secret"}

    def settings(self) -> dict[str, object]:
        return {"url": self.url}

    def authenticate(self, request: Request) -> Answer | None:
        good = request.headers.get("authorization") == "Bearer acme-secret"
        return None if good else self.errors["unauthorized"]

    def no_route(self, request: Request) -> Answer:
        return self.errors["not_found"]

    def bad_body(self, request: Request, bad: BadBody) -> Answer:
        return error(400, f"{bad.field} {bad.reason}")

    def add_foreign(self) -> None:
        with self.lock:
            self._add(
                "materia-of-somebody-else", "small", {"materia-run": "mine"}, "", foreign=True
            )

    def add_look_alike(self, identity: str) -> str:
        with self.lock:
            labels = dict(self._machines[identity].labels)
            return self._add("precious-db", "small", labels, "", foreign=True).name

    def user_data(self, identity: str) -> str:
        return self._machines[identity].user_data

    def collect(self) -> None:
        for machine in list(self._machines.values()):
            if machine.gone_at is not None and machine.gone_at <= self.now():
                del self._machines[machine.name]

    @route("GET", "/types")
    def list_types(self, request: Request) -> Answer:
        keys = ("type", "vcpus", "memory_gib", "disk_gib", "hour")
        types = [dict(zip(keys, (name, *rest), strict=True)) for name, rest in TYPES.items()]
        sold_out = self.behaviour.sold_out
        each = [{**one, "region": "moon", "free": one["type"] not in sold_out} for one in types]
        return Answer(body={"types": each})

    @route("GET", "/machines")
    def list_machines(self, request: Request) -> Answer:
        return Answer(body={"machines": [self._body(one) for one in self._listed()]})

    @route("GET", "/machines/{name}")
    def get(self, request: Request, name: str) -> Answer:
        found = [one for one in self._listed() if one.name == name]
        return Answer(body=self._body(found[0])) if found else self.errors["not_found"]

    @route("PUT", "/machines/{name}")
    def put(self, request: Request, name: str) -> Answer:
        kind, labels = request.field("type", str), request.field("labels", dict)
        if kind in self.behaviour.sold_out or kind not in TYPES:
            raise Refusal(self.errors["sold_out"])
        machine = self._machines.get(name)
        if machine is None or machine.gone_at is not None:
            machine = self._add(name, kind, labels, request.field("user_data", str))
        if machine.labels != labels:
            raise Refusal(self.errors["taken"])
        return Answer(body=self._body(machine))

    @route("DELETE", "/machines/{name}")
    def delete(self, request: Request, name: str) -> Answer:
        machine = self._machines.get(name)
        if machine is None:
            return self.errors["not_found"]
        if machine.gone_at is None and not self.behaviour.never_deletes:
            machine.gone_at = self.now() + self.behaviour.delete
            self.meter.stop("instance", name, machine.gone_at)
            self.power_off(_booting(machine))
        return Answer(status=202, body=self._body(machine))

    def _listed(self) -> list[Machine]:
        late = self.behaviour.invisible
        return [one for one in self._machines.values() if self.now() >= one.created + late]

    def _body(self, machine: Machine) -> dict[str, object]:
        booted = self.now() >= machine.created + self.behaviour.boot
        runs = booted and not self.behaviour.never_boots and machine.gone_at is None
        return {
            "name": machine.name,
            "type": machine.type,
            "region": "moon",
            "labels": dict(machine.labels),
            "created": machine.created.isoformat(),
            "address": machine.address,
            "state": "running" if runs else "waiting",
        }

    def _add(
        self,
        name: str,
        kind: str,
        labels: Mapping[str, str],
        user_data: str,
        *,
        foreign: bool = False,
    ) -> Machine:
        machine = Machine(name, kind, labels, user_data, self.now(), self.documentation_address())
        machine.address = self.power_on(_booting(machine)) or machine.address
        self._machines[name] = machine
        self.meter.start(
            Metered(
                kind="instance",
                id=name,
                name=name,
                region="moon",
                hourly=Money(Decimal(TYPES[kind][3]), "EUR"),
                billing=STARTED_MINUTES,
                started_at=machine.created,
                foreign=foreign,
            )
        )
        return machine


def _booting(machine: Machine) -> Booting:
    return Booting(provider="acme", id=machine.name, name=machine.name, user_data=machine.user_data)
