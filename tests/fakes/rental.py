"""A provider in memory, its machines folders here; it sells out and loses track on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from materia.compute import Billing, Instance, InstanceRequest, Money, Offer, Requirements
from materia.errors import CapacityError


def offer(instance_type: str, *, hourly: str = "0") -> Offer:
    """An offer of that name."""
    return Offer(
        provider="rental",
        region="here",
        instance_type=instance_type,
        vcpus=2,
        cpu="shared",
        architecture="x86_64",
        memory_gib=Decimal(8),
        disk_gib=40,
        hourly=Money(Decimal(hourly), "EUR"),
        billing=Billing(increment=timedelta(hours=1), minimum=timedelta(hours=1)),
        availability="available",
        price_as_of=datetime(2026, 11, 24, tzinfo=UTC),
        price_source="made up here",
    )


@dataclass(slots=True)
class Rental:
    """Remembers what was asked of it.

    Attributes:
        folder: Where its machines have their folders.
        sold: What it offers.
        sold_out: Names of instance types that cannot be had after all.
        keeps: Whether a destroyed instance stays on its list.
        host: The address it gives its machines; None is this one.
        asked: Names of the instances it was asked for.
        created: Names of the instances it made.
        destroyed: Names of the instances it was told to destroy.
        running: What is on its list.
    """

    folder: Path
    sold: list[Offer] = field(default_factory=lambda: [offer("small")])
    sold_out: set[str] = field(default_factory=set)
    keeps: bool = False
    host: str | None = None
    asked: list[str] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    destroyed: list[str] = field(default_factory=list)
    running: dict[str, Instance] = field(default_factory=dict)

    def offers(self, requirements: Requirements, /) -> Sequence[Offer]:
        return self.sold

    def create_instance(self, request: InstanceRequest, /) -> Instance:
        self.asked.append(request.name)
        if request.offer.instance_type in self.sold_out:
            raise CapacityError(f"rental: {request.offer.instance_type} is sold out")
        folder = self.folder / request.name
        folder.mkdir(parents=True)
        instance = Instance(
            provider="rental",
            id=request.name,
            name=request.name,
            run=request.run,
            stage=request.stage,
            region="here",
            expires_at=request.expires_at,
            instance_type=request.offer.instance_type,
            directory=str(folder),
        )
        self.created.append(request.name)
        self.running[request.name] = instance
        return instance

    def list_instances(self) -> Sequence[Instance]:
        return list(self.running.values())

    def wait_for_ssh(self, instance: Instance, /, *, timeout: timedelta) -> Instance:
        return replace(instance, host=self.host)

    def destroy_instance(self, instance: Instance, /) -> None:
        self.destroyed.append(instance.name)
        if not self.keeps:
            self.running.pop(instance.name, None)
