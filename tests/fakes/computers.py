"""Computers that share one bucket, each with a ledger of its own, and a rented machine of a run.

Run as a script, it is a computer that rents until it is killed: the address of the store, the
bucket, the state folder, and the folder of the machines.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from fakes.patience import QUICK
from fakes.rental import Rental, offer
from fakes.s3 import KEY, SECRET
from materia.compute import Instance, Money
from materia_providers.cloud_init import KeyPair
from materia_runner.artifact.bucket import ArtifactBucket
from materia_runner.config.pipeline import NO_BUDGET, Bucket
from materia_runner.ledger.rows import MachineRow, RunRow, StageRow
from materia_runner.ledger.state import State
from materia_runner.messages.events import MachineState
from materia_runner.pricing.currency import Exchange
from materia_runner.rental.cost_meter import CostMeter
from materia_runner.rental.rent import Access, Renter, Wanted
from materia_runner.rental.sweep import Swept, try_sweep
from materia_runner.run.placement import instance_name
from materia_runner.schedule.ledger_copies import LedgerCopies, Restored
from materia_runner.signals import interrupts
from materia_store.object_store import Patience

KEYS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
# No retry: the request that failed was the last one.
KILLED = replace(QUICK, reach=timedelta(0), overall=timedelta(0))
RUN = "20261130T120000-abc123"
HOUR = timedelta(hours=1)
PRICE = Money(Decimal("0.02"), "EUR")


class Computer:
    """A computer with its own state folder."""

    def __init__(
        self, endpoint: str, bucket: str, folder: Path, patience: Patience = QUICK
    ) -> None:
        self.state = State(folder)
        self.ledger = self.state.ledger()
        address = Bucket(url=f"s3://{bucket}/m", endpoint=endpoint)
        self.bucket = ArtifactBucket(address, KEYS, patience=patience)
        self.copies = LedgerCopies(self.bucket, "coffee", state=self.state, ledger=self.ledger)

    def begin(self, run: str = RUN, **changes: object) -> None:
        now = datetime.now(UTC)
        row = RunRow(run=run, started_at=now, source="psd", sink="duckdb", host="old")
        self.ledger.begin_run(replace(row, **changes))  # type: ignore[arg-type]

    def run(self, machines: Path, run: str = RUN) -> None:
        """A run of one stage on a rented machine, as `materia run` goes."""
        with self.state.hold(run):
            self.begin(run)
            with self.rent(Rental(machines, sold=[offer("small", hourly="0.02")]), run) as instance:
                self.ledger.begin_stage(
                    StageRow(
                        run=run,
                        stage="extract",
                        attempt=1,
                        machine=instance.name,
                        provider="rental",
                        started_at=datetime.now(UTC),
                    )
                )
                now = datetime.now(UTC)
                self.ledger.end_stage(run, "extract", 1, state="ok", at=now, result={"fetched": 2})
                self.copies.push(run, alive=True)
            self.ledger.end_run(run, "ok", at=datetime.now(UTC))
            self.copies.push(run, alive=False)

    @contextmanager
    def rent(
        self, provider: Rental, run: str = RUN, *, stage: str = "extract"
    ) -> Iterator[Instance]:
        key = KeyPair(public="", private="")
        wanted = Wanted(
            name=instance_name(run, stage),
            stages=(stage,),
            offer=provider.sold[0],
            estimate=PRICE,
            worst=PRICE,
            expires_at=datetime.now(UTC) + HOUR,
            access=Access(login_key=key, host_key=key, user_data=""),
        )
        with interrupts() as signals:
            renter = Renter(
                run=run,
                state=self.state,
                ledger=self.ledger,
                cost_meter=CostMeter(Exchange()),
                budget=NO_BUDGET,
                exchange=Exchange(),
                signals=signals,
                secure=lambda: self.copies.push(run, alive=True),
            )
            with renter.rent(provider, wanted, Quiet()) as instance:
                yield instance

    def restore(self) -> Restored:
        """Begin with what the bucket has."""
        return self.copies.restore(now=datetime.now(UTC))

    def sweep(self, provider: Rental) -> Swept:
        now = datetime.now(UTC) + timedelta(minutes=1)  # the list of machines is not late
        swept = try_sweep(provider, name="rental", state=self.state, now=now)
        self.copies.push_left()
        return swept


class Quiet:
    """Shows nothing of an instance."""

    def changed(self, row: MachineRow, state: MachineState, *, cost: Money | None) -> None: ...

    def warn(self, message: str) -> None: ...

    def clean(self, text: str) -> str:
        return text


def rental_of(machines: Path, run: str = RUN) -> Rental:
    """The provider, as it is after the process that rented is gone: its machines are folders."""
    running: Mapping[str, Instance] = {
        folder.name: Instance(
            provider="rental",
            id=folder.name,
            name=folder.name,
            run=run,
            stage="extract",
            region="here",
            expires_at=datetime.now(UTC) + HOUR,
            instance_type="small",
        )
        for folder in (machines.iterdir() if machines.exists() else ())
    }
    return Rental(machines, running=dict(running))


if __name__ == "__main__":
    endpoint, bucket, folder, machines = sys.argv[1:]
    Computer(endpoint, bucket, Path(folder), KILLED).run(Path(machines))
