"""What the ledger keeps: runs, machines, stages and notes, as frozen values. All times in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, get_args

from materia.compute import Money, Offer

from materia_runner.pricing.cost import Line

RunState = Literal["running", "ok", "failed", "interrupted", "over budget"]
MachineState = Literal["intent", "created", "ready", "destroying", "gone", "refused"]
StageState = Literal["running", "ok", "failed", "lost", "interrupted"]
# A machine in one of these may cost money now.
OPEN: tuple[MachineState, ...] = get_args(Literal["intent", "created", "ready", "destroying"])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run, or the making of one worker by hand.

    Attributes:
        run: Its identity; sorts by time.
        started_at: When it began.
        ended_at: When it ended, or None.
        state: `running` also when its process was killed: ask `State.is_alive`.
        source: Name of the source; empty for a worker made by hand.
        sink: Name of the sink; empty for a worker made by hand.
        providers: Names of those that took part.
        directory: Folder of the pipeline.
        sample: Whether it read the sample.
        pid: Number of its process, on *host*.
        host: Name of the machine it was started on.
        version: Of materia-runner.
        max_cost: What it was allowed to cost, or None.
        error: Why it did not end well, or None.
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
    """One machine that was wanted, and what became of it.

    Attributes:
        name: As in the request; one open machine has it at a time.
        run: Identity of the run.
        stages: Names of the stages it is for.
        provider: Name of the provider.
        region: The provider's own name of the place.
        zone: The part of the region; may be empty.
        instance_type: The provider's own name of the shape.
        offer: What was rented, with its price at that moment.
        estimate: What it was thought to cost.
        worst: What it costs at its deadline.
        expires_at: Its deadline; after it anyone may destroy it.
        intended_at: When it was decided on, before anything was asked for.
        state: `refused` when nothing was created, `gone` when the provider no longer lists it.
        id: The provider's own identity of it; empty before it was created.
        host: Address to reach it, or None.
        created_at: When the provider says it was created, or else when it was told to us; None
            when that never came.
        ready_at: When it could be reached, or None.
        destroying_at: When its end was first asked for, or None.
        gone_at: When it was verified gone, or None.
        cost: What it came to, or None while it is open.
        lines: What the cost is made of.
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
        """Whether it costs anything to have it: a machine of one's own does not."""
        return self.offer.hourly.amount > 0 or any(
            extra.hourly.amount > 0 for extra in self.offer.extras
        )

    def lasted(self, now: datetime) -> timedelta:
        """From its making until it was gone, or until *now*; nothing when it was refused."""
        if self.state == "refused":
            return timedelta(0)
        return max((self.gone_at or now) - (self.created_at or self.intended_at), timedelta(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """One attempt at a stage.

    Attributes:
        run: Identity of the run.
        stage: Its name.
        attempt: 1 for the first.
        machine: Name of the machine it ran on.
        provider: Name of the machine's provider.
        started_at: When its worker was started.
        expected: How long it was thought to run, or None.
        state: `lost` when nobody knows how it ended.
        ended_at: When it ended, or None.
        result: What the worker reported, as JSON takes it, or None.
        error: Why it did not end well, or None.
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
    """Something worth remembering of a run.

    Attributes:
        run: Identity of the run.
        at: When it happened.
        stage: Name of the stage, or empty.
        text: One sentence or more, without any secret.
    """

    run: str
    at: datetime
    stage: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """What the machines of one month, provider and stage cost.

    A machine that served several stages is divided among them by the time they took.

    Attributes:
        month: In which they were wanted, in UTC: `2026-11`.
        provider: Name of the provider.
        stage: Name of the stage; empty for machines of none.
        machines: How many; one that served two stages is in both.
        open: How many of them are not gone yet; they count with what they cost so far.
        time: They existed for the stage, together.
        estimate: What that was thought to cost.
        cost: What it came to.
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
    """No money."""
    return Money(Decimal(0), currency)
