"""What a run writes down as it goes: ledger, logs, and events for whoever looks on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from materia.compute import Instance
from materia.errors import BudgetError
from materia.printable import printable

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
from materia_runner.rental.cost_meter import addresses_of
from materia_runner.run.stage_log import StageLog
from materia_runner.secrets.redaction import redact

if TYPE_CHECKING:
    from materia_runner.ledger.ledger import Ledger
    from materia_runner.ledger.rows import MachineRow
    from materia_runner.ledger.state import State
    from materia_runner.rental.cost_meter import Spending

BEAT_SECONDS = 1.0


class Journal:
    """The journal of one run.

    What comes in is without secrets and control characters afterwards, wherever it goes.
    """

    def __init__(
        self, run: str, *, state: State, ledger: Ledger, observe: Observe, hidden: tuple[str, ...]
    ) -> None:
        self.run = run
        self.ledger = ledger
        self._folder = state.run_folder(run)
        self._observe = observe
        self._hidden = hidden
        self._lock = threading.Lock()
        self._log: StageLog | None = None
        self._phase = ""

    def clean(self, text: str) -> str:
        """*text* without secrets and control characters."""
        # Twice, as what is taken out between may have stood in the middle of a secret.
        return redact(printable(redact(text, self._hidden)), self._hidden)

    def say(self, stage: str, message: str, *, warning: bool = False) -> None:
        """A sentence of the runner's own: shown, logged, and part of the run's timeline."""
        message = self.clean(message)
        self.ledger.note(self.run, at=datetime.now(UTC), stage=stage, text=message)
        self.observe(stage, Log(level="warning" if warning else "info", message=message))

    def observe(self, stage: str, event: Event) -> None:
        """Show an event, and log what is worth reading afterwards."""
        event = without(event, self._hidden)
        with self._lock:
            if self._log is not None and (text := self._words(event)):
                self._log.write(datetime.now(UTC), text)
        self._observe(stage, event)

    def _words(self, event: Event) -> str:
        """What of it is worth reading afterwards; of progress, the first and the last word."""
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
        """While this block runs, events go to the log of that stage."""
        log = StageLog(self._folder / f"{stage}.{attempt}.log")
        with self._lock:
            self._log, self._phase = log, ""
        try:
            yield
        finally:
            with self._lock:
                self._log = None
                log.close(datetime.now(UTC))


@dataclass(slots=True, kw_only=True)
class MachineLife:
    """Writes down the life of one machine; see `lifecycle.Life`.

    Attributes:
        journal: Where.
        spending: What it adds to.
        row: The machine.
        stage: The first that it is for.
        affordable: Raises BudgetError when it is not, now that it is written down.
    """

    journal: Journal
    spending: Spending
    row: MachineRow
    stage: str
    affordable: Callable[[], None] = lambda: None

    def asked(self) -> None:
        """As in Life; raises BudgetError before anything is asked for."""
        self.journal.ledger.intend_machine(self.row)
        try:
            self.affordable()
        except BudgetError as error:
            self.refused(str(error))
            raise
        self._tell("asked")

    def refused(self, reason: str, /) -> None:
        """As in Life."""
        self.journal.ledger.machine_failed(self.row.name, self.journal.clean(reason))
        self._tell("refused")

    def undone(self, made: Literal["address", "machine"], /) -> None:
        """As in Life."""
        offer = self.row.offer if made == "machine" else addresses_of(self.row.offer)
        self.spending.begin(self.row.name, offer, self.row.intended_at)
        self._end()

    def created(self, instance: Instance, /) -> None:
        """As in Life."""
        now = datetime.now(UTC)
        begun = self.row.intended_at
        self.spending.begin(self.row.name, self.row.offer, begun, said=instance.created_at)
        self.journal.ledger.machine_created(
            self.row.name,
            id=instance.id,
            region=instance.region,
            created_at=instance.created_at or begun,
            at=now,
        )
        self._tell("created")

    def ready(self, instance: Instance, /) -> None:
        """As in Life."""
        host = instance.host or ""
        self.journal.ledger.machine_ready(self.row.name, host=host, at=datetime.now(UTC))
        self._tell("ready")

    def destroying(self, _instance: Instance, /) -> None:
        """As in Life."""
        self.journal.ledger.machine_destroying(self.row.name, at=datetime.now(UTC))

    def delayed(self, instance: Instance, reason: str, /) -> None:
        """As in Life."""
        message = f"{instance.name} cannot be destroyed yet, trying again: {reason}"
        self.journal.say(self.stage, message, warning=True)

    def gone(self, _instance: Instance, /) -> None:
        """As in Life."""
        self._end()

    def _end(self) -> None:
        now = datetime.now(UTC)
        quote = self.spending.end(self.row.name, now)
        self.journal.ledger.machine_gone(self.row.name, at=now, cost=quote.cost, lines=quote.lines)
        self._tell("gone", cost=f"{quote.cost.amount:f}")

    def _tell(self, state: MachineState, *, cost: str = "") -> None:
        offer = self.row.offer
        self.journal.observe(
            self.stage,
            Machine(
                name=self.row.name,
                state=state,
                provider=offer.provider,
                place=offer.zone or offer.region,
                instance_type=offer.instance_type,
                hourly=f"{offer.hourly.amount:f}",
                currency=offer.hourly.currency,
                cost=cost,
            ),
        )


@contextmanager
def meter_shown(journal: Journal, spending: Spending, stage: str) -> Iterator[None]:
    """While this block runs, say what was spent whenever that has changed."""
    ended = threading.Event()

    def beat() -> None:
        shown = ""
        while True:
            total = spending.total(datetime.now(UTC))
            amount = f"{total.amount:f}"
            if amount != shown and spending.counting:
                shown = amount
                journal.observe(stage, Spent(amount=amount, currency=total.currency))
            if ended.wait(BEAT_SECONDS):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
