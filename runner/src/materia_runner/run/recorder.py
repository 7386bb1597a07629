"""Record a run as it goes: ledger notes, stage logs, and events for the display."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from materia.compute import Money

from materia_runner.messages.events import (
    Event,
    Failed,
    Log,
    Machine,
    MachineState,
    Observe,
    Output,
    Progress,
    Spent,
    without,
)
from materia_runner.run.stage_log import StageLog
from materia_runner.secrets.redaction import clean

if TYPE_CHECKING:
    from materia_runner.ledger.ledger import Ledger
    from materia_runner.ledger.rows import MachineRow
    from materia_runner.ledger.state import State
    from materia_runner.rental.cost_meter import CostMeter

BEAT_SECONDS = 1.0


class Recorder:
    """The recorder of one run, or of one of the workers that it has side by side.

    Removes secrets and control characters from everything it records or shows.
    """

    def __init__(
        self,
        run: str,
        *,
        state: State,
        ledger: Ledger,
        observe: Observe,
        hidden: tuple[str, ...],
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Record *run*; *labels* replace the names of stages in all that is recorded and shown."""
        self.run = run
        self.ledger = ledger
        self._state = state
        self._labels = labels or {}
        self._folder = state.run_folder(run)
        self._observe = observe
        self._hidden = hidden
        self._lock = threading.Lock()
        self._log: StageLog | None = None
        self._phase = ""
        self._stage = ""

    def of_worker(self, stage: str, label: str) -> Recorder:
        """The recorder of one worker, for a thread of its own: it has a log of its own.

        What it records and shows of *stage* has the name *label*.
        """
        return Recorder(
            self.run,
            state=self._state,
            ledger=self.ledger,
            observe=self._observe,
            hidden=self._hidden,
            labels={stage: label},
        )

    def clean(self, text: str) -> str:
        """*text* without secrets and control characters."""
        return clean(text, self._hidden)

    def say(self, stage: str, message: str, *, warning: bool = False) -> None:
        """Show and log a message of the runner, and add it to the run's timeline."""
        message = self.clean(message)
        stage = self._labels.get(stage, stage)
        self.ledger.note(self.run, at=datetime.now(UTC), stage=stage, text=message)
        self.observe(stage, Log(level="warning" if warning else "info", message=message))

    def doing(self, what: str, *, stage: str = "") -> None:
        """Show what the runner does now, which may take a while; it is neither logged nor kept.

        It is for *stage*, or for the stage of the last event.
        """
        if stage := self._labels.get(stage, stage) or self._stage:
            self._stage = stage
            self._observe(stage, Progress(phase=what, done=0, total=None, unit="steps"))

    def observe(self, stage: str, event: Event) -> None:
        """Show an event, and log its text."""
        event = without(event, self._hidden)
        stage = self._labels.get(stage, stage)
        with self._lock:
            if self._log is not None and (text := self._words(event)):
                self._log.write(datetime.now(UTC), text)
        self._stage = stage
        self._observe(stage, event)

    def _words(self, event: Event) -> str:
        """Text of an event for the log; of progress, only the first and last event of a phase."""
        match event:
            case Log():
                return f"warning: {event.message}" if event.level == "warning" else event.message
            case Output():
                return event.text
            case Failed():
                return f"failed: {event.kind}: {event.message}"
            case Progress(phase=phase, done=done, total=total, unit=unit) if unit != "bytes":
                if phase != self._phase or done == total:
                    self._phase = phase
                    return f"{phase}: {done}" + ("" if total is None else f" of {total} {unit}")
        return ""

    @contextmanager
    def log_of(self, stage: str, attempt: int) -> Iterator[None]:
        """Write the events of this block to the log of *stage*."""
        log = StageLog(self._folder / f"{stage}.{attempt}.log")
        with self._lock:
            self._log, self._phase = log, ""
        try:
            yield
        finally:
            with self._lock:
                self._log = None
                log.close(datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class InstanceReports:
    """Shows the life of one instance as events of a run; see `instance_record.InstanceReporter`.

    Attributes:
        recorder: The recorder of the run.
        stage: The first stage of the instance.
    """

    recorder: Recorder
    stage: str

    def changed(self, row: MachineRow, state: MachineState, *, cost: Money | None) -> None:
        """Show the new state as an event."""
        offer = row.offer
        self.recorder.observe(
            self.stage,
            Machine(
                name=row.name,
                state=state,
                provider=offer.provider,
                place=offer.zone or offer.region,
                instance_type=offer.instance_type,
                hourly=f"{offer.hourly.amount:f}",
                currency=offer.hourly.currency,
                cost="" if cost is None else f"{cost.amount:f}",
            ),
        )

    def warn(self, message: str) -> None:
        """Show and log a warning."""
        self.recorder.say(self.stage, message, warning=True)

    def clean(self, text: str) -> str:
        """*text* without secrets and control characters."""
        return self.recorder.clean(text)


@contextmanager
def meter_shown(recorder: Recorder, cost_meter: CostMeter, stage: str) -> Iterator[None]:
    """Show the cost so far whenever it changes in this block."""
    ended = threading.Event()

    def beat() -> None:
        shown = ""
        while True:
            total = cost_meter.total(datetime.now(UTC))
            amount = f"{total.amount:f}"
            if amount != shown and cost_meter.counting:
                shown = amount
                recorder.observe(stage, Spent(amount=amount, currency=total.currency))
            if ended.wait(BEAT_SECONDS):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
