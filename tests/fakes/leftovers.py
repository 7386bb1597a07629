"""Machines that a run left behind, on an emulated cloud and in a ledger."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from fakes import killed
from fakes.rows import machine_row, run_row
from materia.compute import Instance, InstanceRequest, Offer, Requirements
from materia.protocols import Provider
from materia_providers.cloud_init import cloud_config, generate_key, user_data
from materia_runner.ledger.ledger import Ledger
from materia_runner.ledger.rows import MachineRow
from materia_runner.ledger.state import State
from materia_testing.emulation.service import Service

NEEDS = Requirements(vcpus=2, memory_gib=Decimal(4), disk_gib=20, architectures=("x86_64",))
HOUR = timedelta(hours=1)


def opened(cloud: Service) -> Provider:
    """The bundled provider of that cloud, as a new process would have it."""
    return killed.opened(cloud.provider, cloud.secrets(), cloud.settings())


def new_run() -> str:
    return f"20261124T0855{random.randrange(60):02}-{random.randrange(16**6):06x}"  # noqa: S311 -- a name


@dataclass(slots=True)
class Tenant:
    """Somebody who rents in a cloud, and whose ledger may be ours.

    Attributes:
        cloud: Where.
        provider: Opened on it.
    """

    cloud: Service
    provider: Provider
    offer: Offer

    @classmethod
    def of(cls, cloud: Service) -> Tenant:
        provider = opened(cloud)
        offers = [one for one in provider.offers(NEEDS) if one.availability == "available"]
        return cls(cloud, provider, min(offers, key=lambda one: (one.hourly.amount, one.zone)))

    def request(
        self, *, stage: str = "extract", attempt: int = 1, **ends: datetime
    ) -> InstanceRequest:
        run = new_run()
        now = datetime.now(UTC).replace(microsecond=0)
        expires_at = ends.get("expires_at", now + HOUR)
        key = generate_key()
        config = cloud_config(
            login_key=key.public, host_key=generate_key(), now=now, expires_at=now + HOUR
        )
        suffix = "" if attempt == 1 else f"-{attempt}"
        return InstanceRequest(
            name=f"materia-{run}-{stage}{suffix}".lower(),
            run=run,
            stage=stage,
            offer=self.offer,
            expires_at=expires_at,
            user_data=user_data(config),
            public_key=key.public,
        )

    def rent(self, request: InstanceRequest) -> Instance:
        return self.provider.create_instance(request)


def row_of(request: InstanceRequest, at: datetime) -> MachineRow:
    row = machine_row(request.name, run=request.run, at=at, offer=request.offer)
    return replace(row, expires_at=request.expires_at, stages=(request.stage,))


def intend(ledger: Ledger, request: InstanceRequest, *, at: datetime | None = None) -> MachineRow:
    """What a run writes before it asks."""
    at = at or datetime.now(UTC)
    ledger.begin_run(run_row(request.run, at=at))
    row = row_of(request, at)
    ledger.intend_machine(row)
    return row


def remember(
    ledger: Ledger, request: InstanceRequest, rent: Callable[[InstanceRequest], Instance]
) -> Instance:
    """A run that rents a machine and is killed then."""
    intend(ledger, request)
    instance = rent(request)
    now = datetime.now(UTC)
    ledger.machine_created(
        request.name,
        id=instance.id,
        region=instance.region,
        created_at=instance.created_at,
        at=now,
    )
    return instance


def died(state: State, run: str) -> None:
    """The file that a killed run leaves among those that are alive."""
    alive = state.folder / "alive"
    alive.mkdir(parents=True, exist_ok=True)
    (alive / run).touch()
