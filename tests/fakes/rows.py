"""Rows of a ledger, plain ones to start from, and one whole run written as a runner writes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from materia.compute import Billing, Extra, Money, Offer
from materia_runner.ledger.ledger import Ledger
from materia_runner.ledger.rows import MachineRow, RunRow, StageRow
from materia_runner.pricing.cost import cost

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def euro(amount: str) -> Money:
    return Money(Decimal(amount), "EUR")


OFFER = Offer(
    provider="acme",
    region="north",
    instance_type="a2",
    vcpus=2,
    cpu="shared",
    architecture="x86_64",
    memory_gib=Decimal(8),
    disk_gib=40,
    hourly=euro("0.012"),
    billing=Billing(increment=timedelta(minutes=1), minimum=timedelta(0)),
    availability="available",
    price_as_of=NOON,
    price_source="https://acme.example/prices",
    extras=(Extra(name="address", hourly=euro("0.0006"), source="https://acme.example/ip"),),
)
FREE = replace(OFFER, provider="local", hourly=euro("0"), extras=())


def run_row(run: str = "one", *, at: datetime = NOON, sample: bool = False) -> RunRow:
    return RunRow(
        run=run,
        started_at=at,
        source="beans",
        sink="folder",
        providers=("acme", "bolt"),
        directory="/home/ana/beans",
        sample=sample,
        pid=4711,
        host="laptop",
        version="0.1.0",
        max_cost=euro("0.50"),
    )


def machine_row(
    name: str = "m",
    *,
    run: str = "one",
    at: datetime = NOON,
    stages: tuple[str, ...] = ("extract",),
    offer: Offer = OFFER,
) -> MachineRow:
    return MachineRow(
        name=name,
        run=run,
        stages=stages,
        provider=offer.provider,
        region=offer.region,
        instance_type=offer.instance_type,
        offer=offer,
        estimate=euro("0.0021"),
        worst=euro("0.0252"),
        expires_at=at + timedelta(hours=2),
        intended_at=at,
    )


def stage_row(
    stage: str = "extract", *, run: str = "one", machine: str = "m", at: datetime = NOON
) -> StageRow:
    return StageRow(
        run=run,
        stage=stage,
        attempt=1,
        machine=machine,
        provider="acme",
        started_at=at,
        expected=10 * MINUTE,
    )


def write_machine(
    ledger: Ledger,
    row: MachineRow,
    *,
    lengths: tuple[timedelta, ...],
    boot: timedelta = MINUTE,
    teardown: timedelta = MINUTE,
) -> None:
    """The whole life of a machine whose stages take *lengths*, in their order."""
    ledger.intend_machine(row)
    start = row.intended_at
    ledger.machine_created(row.name, id="id-7", region=row.region, created_at=None, at=start)
    at = start + boot
    ledger.machine_ready(row.name, host="192.0.2.7", at=at)
    for stage, length in zip(row.stages, lengths, strict=True):
        ledger.begin_stage(stage_row(stage, run=row.run, machine=row.name, at=at))
        at += length
        ledger.end_stage(row.run, stage, 1, state="ok", at=at, result={"asked": 3, "fetched": 2})
    ledger.machine_destroying(row.name, at=at)
    at += teardown
    bill = cost(row.offer, at - start, start)
    ledger.machine_gone(row.name, at=at, cost=bill.cost, lines=bill.lines)
