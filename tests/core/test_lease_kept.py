"""The lease of a run that may have left a machine stays; the notice that nobody else sweeps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.computers import KEYS, RUN, Computer
from fakes.rental import Rental, offer
from fakes.s3 import S3Server
from materia.errors import BusyError, OrphanError
from materia.plugins import Registry
from materia_runner.config.parse import parse_config
from materia_runner.config.pipeline import Bucket, Pipeline, Schedule
from materia_runner.config.stages import STAGES
from materia_runner.messages.events import Event, Log
from materia_runner.planning.plan import Plan, make_plan
from materia_runner.pricing.currency import Exchange
from materia_runner.rental.cost_meter import CostMeter
from materia_runner.run.context import RunContext
from materia_runner.run.lease import hold_lease, release_lease
from materia_runner.run.recorder import Recorder
from materia_runner.run.sweeps import NOTICE, notice_of_sweeps
from materia_runner.signals import interrupts

NOTHING = Registry(found=(), failures=())


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


class Runs:
    """Runs of one pipeline, each on a computer of its own."""

    def __init__(self, server: S3Server, folder: Path) -> None:
        self.folder = folder
        self.endpoint = server.endpoint
        self.bucket = server.new_bucket()
        self.heard: list[Event] = []
        self.computers: list[Computer] = []

    def begin(self, run: str, *, schedule: Schedule | None = None) -> tuple[Computer, RunContext]:
        computer = Computer(self.endpoint, self.bucket, self.folder / run)
        self.computers.append(computer)
        computer.begin(run)
        pipeline = Pipeline(
            directory=self.folder,
            providers=("rental",),
            sources=("psd",),
            sink="duckdb",
            stages=STAGES[:1],
            project=None,
            settings={},
            name="coffee",
            artifacts=Bucket(url=f"s3://{self.bucket}/m", endpoint=self.endpoint),
            schedule=schedule or Schedule(),
        )
        recorder = Recorder(
            run,
            state=computer.state,
            ledger=computer.ledger,
            observe=lambda _, event: self.heard.append(event),
            hidden=(),
        )
        with interrupts() as signals:
            return computer, RunContext(
                run=run,
                pipeline=pipeline,
                registry=NOTHING,
                environment=KEYS,
                everything=False,
                bundled_only=True,
                state=computer.state,
                recorder=recorder,
                cost_meter=CostMeter(Exchange()),
                signals=signals,
            )

    def said(self) -> list[str]:
        return [one.message for one in self.heard if isinstance(one, Log)]


@pytest.fixture
def runs(server: S3Server, tmp_path: Path) -> Iterator[Runs]:
    runs = Runs(server, tmp_path)
    yield runs
    for computer in runs.computers:
        computer.ledger.close()


OTHER = "20261130T130000-def456"


@pytest.fixture
def plan() -> Plan:
    return make_plan(
        STAGES[:1],
        [offer("small", hourly="0.02")],
        start=datetime.now(UTC),
        exchange=Exchange(),
    )


def rent_and_leave(computer: Computer, folder: Path) -> Rental:
    """End as a run does that could not destroy its machine: with exit code 3."""
    rental = Rental(folder, sold=[offer("small", hourly="0.02")], keeps=True)
    with pytest.raises(OrphanError), computer.rent(rental):
        pass
    computer.ledger.end_run(RUN, "failed", at=datetime.now(UTC), error="it is left")
    computer.copies.push(RUN, alive=False)
    return rental


def test_a_run_that_left_a_machine_keeps_its_lease_until_the_machine_is_gone(
    runs: Runs, tmp_path: Path, plan: Plan
) -> None:
    first, context = runs.begin(RUN)
    hold_lease(context, plan.placements)
    rental = rent_and_leave(first, tmp_path / "machines")

    release_lease(context)

    second, other = runs.begin(OTHER)
    second.restore()
    with pytest.raises(BusyError, match=RUN):
        hold_lease(other, plan.placements)
    assert any("the lease of this run is kept until" in one for one in runs.said())

    rental.keeps = False
    second.sweep(rental)
    assert rental.running == {}
    hold_lease(other, plan.placements)  # the machine is gone: it is safe to rent
    release_lease(other)


def test_a_run_that_left_nothing_gives_its_lease_back(runs: Runs, plan: Plan) -> None:
    _, context = runs.begin(RUN)
    hold_lease(context, plan.placements)
    release_lease(context)
    _, other = runs.begin(OTHER)

    hold_lease(other, plan.placements)
    assert runs.said() == []


def test_the_notice_comes_once_in_a_run_and_not_when_a_setting_says_who_sweeps(runs: Runs) -> None:
    _, context = runs.begin(RUN)
    notice_of_sweeps(context)
    notice_of_sweeps(context)
    assert runs.said() == [NOTICE]

    _, told = runs.begin(OTHER, schedule=Schedule(swept_elsewhere=True))
    notice_of_sweeps(told)
    assert runs.said() == [NOTICE]


def test_the_setting_is_read_from_the_schedule(tmp_path: Path) -> None:
    document = {"schedule": {"swept_elsewhere": True}}
    pipeline = parse_config(document, NOTHING, name="materia.toml", directory=tmp_path)

    assert pipeline.schedule.swept_elsewhere


def test_a_run_that_shows_life_elsewhere_keeps_its_lease_from_one_that_began_long_ago(
    runs: Runs, plan: Plan
) -> None:
    first, context = runs.begin(RUN)
    hold_lease(context, plan.placements)
    first.copies.push(RUN, alive=True)
    second, other = runs.begin(OTHER)
    other.copies = second.copies
    second.restore()
    began = datetime.now(UTC) - timedelta(hours=1)
    second.state.keep_elsewhere(RUN, began)  # as after a first stage of an hour

    with pytest.raises(BusyError, match=RUN):
        hold_lease(other, plan.placements)

    second.state.keep_elsewhere(RUN, began)
    first.copies.push(RUN, alive=False)
    hold_lease(other, plan.placements)
