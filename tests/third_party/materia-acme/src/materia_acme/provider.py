"""Acme's machines: known by the name they were given, and nothing else comes with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from materia.compute import Billing, Instance, InstanceRequest, Money, Offer, Requirements
from materia.errors import (
    CapacityError,
    CredentialsError,
    Made,
    NoOfferError,
    ProviderError,
)
from materia_providers.api_errors import translated
from materia_providers.cloud_init import check_size
from materia_providers.labels import entry_owner, owner_of
from materia_providers.polling import Boot, await_boot
from materia_providers.teardown import ForeignError, leaving_nothing, remove

STARTED_MINUTES = Billing(
    increment=timedelta(minutes=1),
    minimum=timedelta(minutes=1),
    source="https://acme.example/billing",
)


class AcmeMachines:
    def __init__(
        self,
        token: str,
        *,
        url: str,
        timeout: timedelta = timedelta(seconds=30),
        patience: timedelta = timedelta(minutes=5),
    ) -> None:
        self._token = token
        self._url = url
        self._timeout = timeout
        self._patience = patience

    def offers(self, requirements: Requirements, /) -> Sequence[Offer]:
        types = (self._ask("GET", "/types") or {}).get("types", [])
        if not types:
            raise NoOfferError("acme: the price list is empty; ask Acme's support")
        with _reading("read the price list"):
            return [self._offer(one, datetime.now(UTC)) for one in types]

    def create_instance(self, request: InstanceRequest, /) -> Instance:
        check_size(request.user_data, provider="acme", limit_bytes=64 * 1024)
        wanted: dict[str, object] = {
            "type": request.offer.instance_type,
            "region": request.offer.region,
            "labels": owner_of(request).labels(),
            "user_data": request.user_data,
        }

        def undo(error: BaseException) -> Made:
            if isinstance(error, CapacityError | CredentialsError | ForeignError):
                return ""  # Acme is sure that it made nothing
            # The answer may be lost, or odd: the machine may exist all the same.
            made = self._remove(request.name, request.offer.region, request)
            return "machine" if made else ""

        with leaving_nothing(f"acme: cannot create {request.name}", undo):
            return self._made(request.name, wanted)

    def list_instances(self) -> Sequence[Instance]:
        answer = self._ask("GET", "/machines")
        if answer is None:
            raise ProviderError("acme: the list of machines cannot be read")
        with _reading("read the list of machines"):
            return [found for one in answer["machines"] if (found := _instance(one))]

    def wait_for_ssh(self, instance: Instance, /, *, timeout: timedelta) -> Instance:
        def look() -> Boot | None:
            machine = self._ask("GET", _path(instance.name))
            if machine is None:
                return None
            runs = machine["state"] == "running"
            return Boot(state=machine["state"], host=machine["address"] if runs else None)

        boot = await_boot(
            f"acme: {instance.name}",
            look,
            timeout=timeout,
            settle=timedelta(seconds=5),
        )
        return replace(instance, host=boot.host)

    def destroy_instance(self, instance: Instance, /) -> None:
        self._remove(instance.name, instance.region, instance)

    def _made(self, name: str, wanted: dict[str, object]) -> Instance:
        # PUT makes the machine or gives the one of that name, so it can be repeated.
        made = _instance(self._ask("PUT", _path(name), wanted) or {})
        if made is None:
            raise ProviderError(f"acme: the machine {name} came without its labels")
        return made

    def _offer(self, one: dict[str, Any], now: datetime) -> Offer:
        return Offer(
            provider="acme",
            region=one["region"],
            instance_type=one["type"],
            vcpus=one["vcpus"],
            cpu="shared",
            architecture="x86_64",
            memory_gib=Decimal(one["memory_gib"]),
            disk_gib=one["disk_gib"],
            hourly=Money(Decimal(one["hour"]), "EUR"),
            billing=STARTED_MINUTES,
            availability="available" if one["free"] else "unavailable",
            price_as_of=now,
            price_source=f"{self._url}/types",
        )

    def _remove(self, name: str, region: str, of: Instance | InstanceRequest) -> bool:
        def delete_pass() -> list[str]:
            machine = self._ask("GET", _path(name))
            if machine is not None and _instance(machine) is None:
                raise ForeignError(f"acme: the machine {name} is not materia's")
            left = self._ask("DELETE", _path(name))  # also one that is not listed yet
            return [] if left is None else [f"the machine {name}"]

        remains = Instance(
            provider="acme",
            id=name,
            name=name,
            run=of.run,
            stage=of.stage,
            region=region,
            expires_at=of.expires_at,
        )
        console = "https://acme.example/machines"
        return remove(remains, delete_pass, console=console, patience=self._patience)

    def _ask(
        self, method: str, path: str, body: dict[str, object] | None = None
    ) -> dict[str, Any] | None:
        """The answer; None when there is no such thing."""
        request = Request(  # noqa: S310 -- the address is the user's own
            f"{self._url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        try:
            seconds = self._timeout.total_seconds()
            with urlopen(request, timeout=seconds) as answer:  # noqa: S310 -- as above
                found = json.load(answer)
        except HTTPError as error:
            if error.code == 404:
                return None
            raise _refusal(error, f"{method} {path}") from error
        except (OSError, HTTPException, ValueError) as error:
            raise ProviderError(f"acme: {method} {path} failed: {error}") from error
        if not isinstance(found, dict):
            raise ProviderError(f"acme: {method} {path} answered with something else")
        return found


def _reading(doing: str) -> AbstractContextManager[None]:
    return translated(doing, provider="acme", translate=lambda *_: None)


def _path(name: str) -> str:
    return f"/machines/{quote(name, safe='')}"


def _refusal(error: HTTPError, what: str) -> ProviderError:
    try:
        reason = str(json.load(error)["error"])
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        reason = ""  # a page of a gateway
    message = f"acme: {what} was refused with {error.code} {reason}".rstrip()
    if error.code in {401, 403}:
        return CredentialsError(f"{message}; check ACME_TOKEN")
    if reason in {"sold out", "quota"}:
        return CapacityError(message)
    if reason == "taken":
        return ForeignError(message)
    return ProviderError(message)


def _instance(machine: dict[str, Any]) -> Instance | None:
    """The machine, or None when it is not materia's."""
    name = machine.get("name")
    owner = entry_owner(name, machine.get("labels"), named=name)
    if owner is None:
        return None
    return Instance(
        provider="acme",
        id=machine["name"],
        name=owner.name,
        run=owner.run,
        stage=owner.stage,
        region=machine["region"],
        expires_at=owner.expires_at,
        instance_type=machine["type"],
        created_at=datetime.fromisoformat(machine["created"]),
    )
