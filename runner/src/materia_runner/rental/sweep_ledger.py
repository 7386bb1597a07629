"""Ledger access of a sweep: open machines, dead runs, and closing their entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from materia.compute import Instance
from materia.errors import ConfigError, LedgerError
from materia_providers.clock import TOLERANCE

from materia_runner.rental.manual_worker_files import forget_run

if TYPE_CHECKING:
    from materia_runner.ledger.ledger import Ledger
    from materia_runner.ledger.rows import MachineRow
    from materia_runner.ledger.state import State
    from materia_runner.pricing.cost import Quote

# The entry of a machine that the provider does not list is closed when it is this old: until then
# the list may be behind, and a later sweep looks again. Five minutes are for the list; TOLERANCE is
# for the clock of this computer, which recorded the time of the request and may be that wrong.
FORGOTTEN = timedelta(minutes=5) + TOLERANCE


class SweepLedger:
    """The ledger, if it exists: without it a sweep continues, by deadlines only."""

    def __init__(self, state: State, *, now: datetime) -> None:
        self._state = state
        self._now = now
        self._ledger: Ledger | None = None
        self.remark = ""

    def __enter__(self) -> Self:
        if self._state.ledger_file.exists():
            with self._forgiving():
                self._ledger = self._state.ledger()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._ledger is not None:
            self._ledger.close()

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Keep an error of the ledger as a remark: it must not stop the sweep."""
        try:
            yield
        except (ConfigError, LedgerError) as error:
            self.remark = str(error)

    def open_rows(self, provider: str) -> dict[str, MachineRow]:
        """Open machines of *provider* in the ledger, by name."""
        if self._ledger is None:
            return {}
        rows: Sequence[MachineRow] = ()
        with self._forgiving():
            rows = self._ledger.machines(open_only=True)
        return {row.name: row for row in rows if row.provider == provider}

    def is_dead(self, run: str) -> bool:
        """Whether *run* was started here and is not alive.

        A run also leaves a file in `alive/`, so that its machines are found when the ledger is
        lost or damaged.
        """
        if self._state.is_alive(run, now=self._now):
            return False
        if self._state.was_left(run, now=self._now):
            return True
        if self._ledger is None:
            return False
        try:
            return self._ledger.knows(run)
        except (ConfigError, LedgerError) as error:
            self.remark = str(error)
            return False

    def destroying(self, name: str, *, at: datetime) -> None:
        """Record that the machine *name* is about to be destroyed."""
        if self._ledger is not None:
            with self._forgiving():
                self._ledger.machine_destroying(name, at=at)

    def gone(self, row: MachineRow | None, instance: Instance, *, at: datetime) -> Quote | None:
        """Record that the machine is gone; returns its bill when the ledger has its price."""
        if self._ledger is None or row is None:
            return None
        quote = bill(row, at=at, said=instance.created_at)
        with self._forgiving():
            self._ledger.machine_gone(row.name, at=at, cost=quote.cost, lines=quote.lines)
        return quote

    def never_listed(self, row: MachineRow, *, at: datetime) -> list[MachineRow]:
        """Return the row while the provider's list may be behind; later, close it.

        A machine that was never created is closed without a cost; any other counts until it was
        destroyed, or until its deadline.
        """
        if row.rented and at - (row.created_at or row.intended_at) < FORGOTTEN:
            return [row]
        if row.state != "intent":
            self.gone(row, instance_of(row), at=unseen_end(row, at))
        elif self._ledger is not None:
            with self._forgiving():
                self._ledger.machine_failed(row.name, "its run was killed, and it never appeared")
        return []

    def close_runs(self, *, at: datetime) -> None:
        """Record the end of dead runs of which nothing is left."""
        if self._ledger is not None:
            with self._forgiving():
                close_dead_runs(self._state, self._ledger, at=at)


def close_dead_runs(state: State, ledger: Ledger, *, at: datetime) -> None:
    """Record the end of runs that were killed and of which nothing is left.

    A run that is missing in the ledger stays open: the ledger was lost, and the run's machines may
    still exist.
    """
    for run in state.unfinished():
        if not ledger.knows(run) or ledger.machines(run=run, open_only=True):
            continue
        why = "its process was killed, or could not record its end"
        ledger.end_run(run, "interrupted", at=at, error=why)
        state.settle(run)
        forget_run(state, run)


def bill(row: MachineRow, *, at: datetime, said: datetime | None = None) -> Quote:
    """Bill of a machine up to *at*, in its offer's currency.

    Args:
        row: The machine's row in the ledger.
        at: Time when it was gone, or now.
        said: Creation time from the provider, used when the row has none.
    """
    from materia_runner.pricing.currency import Exchange
    from materia_runner.rental.cost_meter import CostMeter

    cost_meter = CostMeter(Exchange())
    cost_meter.begin(row.name, row.offer, row.intended_at, said=row.created_at or said)
    return cost_meter.end(row.name, at)


def instance_of(row: MachineRow) -> Instance:
    """The instance of a row in the ledger, for a provider that does not list it."""
    return Instance(
        provider=row.provider,
        id=row.id,
        name=row.name,
        run=row.run,
        stage=".".join(row.stages),
        region=row.region,
        expires_at=row.expires_at,
    )


def unseen_end(row: MachineRow, now: datetime) -> datetime:
    """End of a machine that something else destroyed: at its deadline at the latest."""
    return row.destroying_at or min(now, row.expires_at)


def forget_unknown_runs(state: State, *, now: datetime) -> None:
    """Forget dead runs that are missing in the ledger, after a sweep of every provider.

    A run that requested a machine less than FORGOTTEN ago stays: its machine may not be listed
    yet. Nothing is forgotten while the ledger cannot be read.

    Args:
        state: The state folder.
        now: Time in UTC, the earliest of the providers' clocks.
    """
    runs = state.unfinished()
    if not runs:
        return
    with suppress(ConfigError, LedgerError), state.ledger() as ledger:
        for run in runs:
            if not ledger.knows(run) and state.age(run, now=now) > FORGOTTEN:
                state.forget(run)
