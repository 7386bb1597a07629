"""Acme's machines: a name is unique and is the id, and nothing else comes with a machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from materia import (
    Billing,
    CapacityError,
    InstanceRequest,
    Money,
    Offer,
    ProviderError,
    Requirements,
)
from materia_providers.api.client import JsonApi, Refusal
from materia_providers.api.machines import ApiProvider, Machine
from materia_providers.api_errors import TakenError
from materia_providers.labels import Owner, entry_owner
from materia_providers.list_entries import amount, amount_in, whole, word

Entry = dict[str, Any]
STARTED_MINUTES = Billing(
    increment=timedelta(minutes=1),
    minimum=timedelta(minutes=1),
    source="https://acme.example/billing",
)


def meaning(status: int, body: Any) -> Refusal | None:
    """What Acme means by a refusal; the usual statuses are known without it."""
    reason = body.get("error") if isinstance(body, dict) and status == 409 else None
    if reason in {"sold out", "quota"}:
        return CapacityError
    return TakenError if reason == "taken" else None


class AcmeMachines(ApiProvider[Entry]):
    provider = "acme"
    console = "https://acme.example/machines"

    def __init__(
        self,
        token: str,
        *,
        url: str,
        timeout: timedelta = timedelta(seconds=30),
        patience: timedelta = timedelta(minutes=5),
        settle: timedelta = timedelta(seconds=5),
    ) -> None:
        super().__init__(patience=patience, settle=settle)
        self.api_url = url
        self._api = JsonApi(
            self.provider,
            url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout,
            meaning=meaning,
            remedy="check ACME_TOKEN",
        )

    def types(self, requirements: Requirements) -> Iterable[tuple[str, Entry]]:
        answer = self._api.ask("GET", "/types") or {}
        return [(str(one.get("type")), one) for one in answer.get("types", [])]

    def offer(self, entry: Entry, now: datetime) -> Offer:
        return Offer(
            provider=self.provider,
            region=word(entry["region"], "region"),
            instance_type=word(entry["type"], "type"),
            vcpus=whole(entry["vcpus"], "number of processors"),
            cpu="shared",
            architecture="x86_64",
            memory_gib=amount(entry["memory_gib"], "memory"),
            disk_gib=whole(entry["disk_gib"], "disk"),
            hourly=Money(amount_in(entry["hour"], "price"), "EUR"),
            billing=STARTED_MINUTES,
            availability="available" if entry["free"] else "unavailable",
            price_as_of=now,
            price_source=f"{self.api_url}/types",
        )

    def entries(self) -> Iterable[Entry]:
        answer = self._api.ask("GET", "/machines")
        machines = answer.get("machines") if answer else None
        if not isinstance(machines, list):
            raise ProviderError("acme: the list of machines cannot be read")
        return machines

    def owner(self, entry: Entry) -> Owner | None:
        return entry_owner(entry.get("name"), entry.get("labels"), named=entry.get("name"))

    def machine(self, entry: Entry) -> Machine:
        return Machine(
            id=word(entry["name"], "name"),
            region=word(entry["region"], "region"),
            instance_type=word(entry["type"], "type"),
            created_at=datetime.fromisoformat(entry["created"]),
            state=word(entry["state"], "state"),
            host=word(entry["address"], "address") if entry["state"] == "running" else None,
        )

    def find(self, identity: str) -> Entry | None:
        return self._api.ask("GET", _path(identity))

    def make(self, request: InstanceRequest, labels: Mapping[str, str]) -> Entry:
        wanted = {
            "type": request.offer.instance_type,
            "region": request.offer.region,
            "labels": labels,
            "user_data": request.user_data,
        }
        return self._api.ask("PUT", _path(request.name), wanted) or {}

    def delete(self, identity: str) -> bool:
        return self._api.ask("DELETE", _path(identity)) is not None


def _path(name: str) -> str:
    return f"/machines/{quote(name, safe='')}"
