"""Rows of the ledger: runs, machines, stages, notes and costs, as values. All times in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, get_args

from materia._dataclass import dataclass
from materia.compute import Money, Offer

from materia_runner.pricing.cost import Line

RunState = Literal["running", "ok", "failed", "interrupted", "over budget"]
MachineState = Literal["intent", "created", "ready", "destroying", "gone", "refused"]
StageState = Literal["running", "ok", "failed", "lost", "interrupted"]
# States in which a machine may cost money now.
OPEN: tuple[MachineState, ...] = get_args(Literal["intent", "created", "ready", "destroying"])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run, one rollback of published tables, or the creation of one manual worker.

    Attributes:
        run: Identity of the run; identities sort by time.
        started_at: When it began.
        ended_at: When it ended, or None.
        state: State of the run; `running` also when its process was killed: see `State.is_alive`.
        source: Names of the sources, with commas between them; empty for a rollback and a manual
            worker.
        sink: Name of the sink; empty for a manual worker.
        providers: Names of the providers that it used.
        directory: Folder of the pipeline.
        sample: Whether it read the sample.
        pid: Process id on *host*.
        host: Name of the machine it was started on.
        version: Version of materia-runner.
        max_cost: Budget of the run, or None.
        error: Why it failed, or None.
    """

    run: str
    started_at: datetime
    source: str = ""
    sink: str = ""
    providers: tuple[str, ...] = ()
    directory: str = ""
    sample: bool = False
    pid: int = 0
    host: str = ""
    version: str = ""
    max_cost: Money | None = None
    state: RunState = "running"
    ended_at: datetime | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRow:
    """One machine that the runner requested.

    Attributes:
        name: Name from the request; only one open machine has it at a time.
        run: Identity of the run.
        stages: Labels of the stages it is for.
        provider: Name of the provider.
        region: The provider's name of the region.
        zone: Zone in the region; may be empty.
        instance_type: The provider's name of the instance type.
        offer: The rented offer, with its price at that time.
        estimate: Estimated cost.
        worst: Worst case: cost when it runs until its deadline.
        expires_at: Deadline after which any sweep may destroy it.
        intended_at: When the runner decided on it, before the request.
        state: State of the machine; `refused` when nothing was created, `gone` when the provider
            no longer lists it.
        id: The provider's id; empty before it was created.
        host: Host name or IP address, or None.
        created_at: When the provider says it was created, or else when the provider answered; None
            without an answer.
        ready_at: When it could be reached, or None.
        destroying_at: When the runner first requested its teardown, or None.
        gone_at: When its teardown was verified, or None.
        cost: Final cost, or None while it is open.
        lines: Lines that the cost is the sum of.
        reason: Why it was refused, or None.
    """

    name: str
    run: str
    stages: tuple[str, ...]
    provider: str
    region: str
    instance_type: str
    offer: Offer
    estimate: Money
    worst: Money
    expires_at: datetime
    intended_at: datetime
    zone: str = ""
    state: MachineState = "intent"
    id: str = ""
    host: str | None = None
    created_at: datetime | None = None
    ready_at: datetime | None = None
    destroying_at: datetime | None = None
    gone_at: datetime | None = None
    cost: Money | None = None
    lines: tuple[Line, ...] = ()
    reason: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it may cost money now."""
        return self.state in OPEN

    @property
    def rented(self) -> bool:
        """Whether the machine costs money; your own machine does not."""
        return self.offer.hourly.amount > 0 or any(
            extra.hourly.amount > 0 for extra in self.offer.extras
        )

    def lasted(self, now: datetime) -> timedelta:
        """Time from its creation until it was gone, or until *now*; zero when it was refused."""
        if self.state == "refused":
            return timedelta(0)
        return max((self.gone_at or now) - (self.created_at or self.intended_at), timedelta(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """One attempt at a stage.

    Attributes:
        run: Identity of the run.
        stage: Label of the stage: its name, and the sources of a worker that has not all of them.
        attempt: Number of the attempt; 1 for the first.
        machine: Name of the machine it ran on.
        provider: Name of the machine's provider.
        started_at: When its worker was started.
        expected: Expected duration, or None.
        state: State of the attempt; `lost` when it is unknown how it ended.
        ended_at: When it ended, or None.
        result: Result from the worker, ready for JSON, or None.
        error: Why it failed, or None.
    """

    run: str
    stage: str
    attempt: int
    machine: str
    provider: str
    started_at: datetime
    expected: timedelta | None = None
    state: StageState = "running"
    ended_at: datetime | None = None
    result: Mapping[str, object] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A note about a run.

    Attributes:
        run: Identity of the run.
        at: Time of the event.
        stage: Name of the stage, or empty.
        text: One sentence or more, without secrets.
    """

    run: str
    at: datetime
    stage: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """Cost of the machines of one month, provider and stage.

    The cost of a machine with several stages is split among them by their time.

    Attributes:
        month: Month of the requests, in UTC: `2026-11`.
        provider: Name of the provider.
        stage: Name of the stage; empty for machines without a stage.
        machines: Number of machines; a machine with two stages counts in both.
        open: Number of machines that are not gone yet; they count with their cost so far.
        time: Total time of the machines for the stage.
        estimate: Estimated cost.
        cost: Actual cost.
    """

    month: str
    provider: str
    stage: str
    machines: int
    open: int
    time: timedelta
    estimate: Money
    cost: Money


def nothing(currency: str) -> Money:
    """An amount of zero."""
    return Money(Decimal(0), currency)
