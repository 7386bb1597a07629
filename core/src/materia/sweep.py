"""Destroy what runs left behind: what is past its deadline, and what a dead run of ours made.

The provider's own list decides. Without a ledger, as in CI or on another machine, deadlines alone
do; a ledger adds the runs that were started here and are not alive any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from materia.errors import ConfigError, LedgerError, MateriaError, OrphanError
from materia.lifecycle import destroy
from materia.machines import Instance, Money
from materia.polling import poll
from materia.protocols import Provider
from materia.worker_keys import forget_run

if TYPE_CHECKING:
    from materia.cost import Quote
    from materia.ledger import Ledger
    from materia.ledger_rows import MachineRow
    from materia.state import State

EXPIRED = "its deadline has passed"
RUN_OVER = "its run is over"
# A provider that cannot be reached is not waited for: the next sweep goes on.
PATIENCE = timedelta(minutes=1)
# A machine whose create was never answered appears in the list up to so much later.
LATE_TO_LIST = timedelta(seconds=30)
# Until then a later sweep looks again; the provider itself has given up on it by then.
INTENT_FORGOTTEN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """What a run left behind.

    Attributes:
        instance: The machine, or what is left of one.
        why: Why it may be destroyed, for people.
    """

    instance: Instance
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one sweep of one provider found, and did.

    Attributes:
        provider: Its name.
        found: What was left behind.
        left: Why it is still there, by the name of the instance.
        costs: What the destroyed ones came to, by name, as far as the ledger knows their prices.
        vanished: Machines of dead runs that the ledger had as open and the provider has no more.
        pending: Machines that a dead run was about to create and that have not appeared so far.
        dry_run: Whether nothing was to be changed.
        remark: What went wrong with the ledger, or empty.
    """

    provider: str
    found: tuple[Leftover, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)
    costs: Mapping[str, Money] = field(default_factory=dict)
    vanished: tuple[MachineRow, ...] = ()
    pending: tuple[MachineRow, ...] = ()
    dry_run: bool = False
    remark: str = ""

    def check(self) -> None:
        """Do nothing when nothing is left.

        Raises:
            OrphanError: with what could not be destroyed, and how to delete it by hand.
        """
        if self.left:
            raise OrphanError("\n  ".join(self.left.values()))


def leftovers(
    listed: Iterable[Instance], *, now: datetime, dead_runs: Callable[[str], bool]
) -> tuple[Leftover, ...]:
    """What of *listed* is left behind; nothing else may ever be destroyed.

    Args:
        listed: What the provider says is there.
        now: In UTC; whose deadline has passed is left behind, whoever made it.
        dead_runs: Whether a run was started here and is not alive.
    """
    found = []
    for instance in listed:
        if instance.expires_at <= now:
            found.append(Leftover(instance=instance, why=EXPIRED))
        elif instance.run and dead_runs(instance.run):
            found.append(Leftover(instance=instance, why=RUN_OVER))
    return tuple(found)


def sweep_provider(
    provider: Provider, *, name: str, state: State, now: datetime, dry_run: bool = False
) -> Swept:
    """Destroy what is left behind at one provider, look that it is gone, and write that down.

    One that cannot be destroyed stops no other. Sweeping again finds nothing.

    Args:
        provider: Opened.
        name: Of its plugin.
        state: What is remembered here; it is not made when missing.
        now: In UTC.
        dry_run: Look, and change nothing, neither there nor here.

    Raises:
        OrphanError: at the end, with all that is left.
        ProviderError: the provider cannot be asked.
    """
    swept = try_sweep(provider, name=name, state=state, now=now, dry_run=dry_run)
    swept.check()
    return swept


def try_sweep(
    provider: Provider, *, name: str, state: State, now: datetime, dry_run: bool = False
) -> Swept:
    """As `sweep_provider`, with what is left in the value it returns.

    Raises:
        ProviderError: the provider cannot be asked.
    """
    began = time.monotonic()

    def clock() -> datetime:
        return now + timedelta(seconds=time.monotonic() - began)

    listed = provider.list_instances()
    with _Books(state) as books:
        rows = books.open_rows(name)
        dead = [row for row in rows.values() if not state.is_alive(row.run)]
        late = [] if dry_run else _late(dead, listed, now)
        if late:
            listed = _await_late(provider, late, listed, now)
        found = leftovers(listed, now=now, dead_runs=books.is_dead)
        unlisted = _unlisted(dead, listed)
        if dry_run:
            intents = tuple(row for row in unlisted if row.state == "intent")
            return Swept(provider=name, found=found, pending=intents, dry_run=True)
        left: dict[str, str] = {}
        costs: dict[str, Money] = {}
        pending: list[MachineRow] = []
        for one in found:
            instance = one.instance
            row = rows.get(instance.name)
            # A key, say, that was made before the machine it is for.
            before = row if row and row.state == "intent" and not instance.id else None
            if before is None:
                books.destroying(instance.name, at=clock())
            try:
                destroy(provider, instance, patience=PATIENCE)
            except MateriaError as error:
                left[instance.name] = str(error)
                continue
            if before is not None:
                pending += books.never_seen(before, at=clock())
            elif quote := books.gone(row, instance, at=clock()):
                costs[instance.name] = quote.cost
        vanished, more_pending, more_left = _settle_unlisted(provider, unlisted, books, clock)
        pending += more_pending
        left |= more_left
        books.close_runs(at=clock())
        return Swept(
            provider=name,
            found=found,
            left=left,
            costs=costs,
            vanished=tuple(vanished),
            pending=tuple(pending),
            remark=books.remark,
        )


def close_dead_runs(state: State, ledger: Ledger, *, at: datetime) -> None:
    """Write down the end of runs that were killed and of which nothing is left."""
    for run in state.unfinished():
        if state.settle(run):
            ledger.end_run(run, "interrupted", at=at, error="its process was killed")
            forget_run(state, run)


def bill(row: MachineRow, *, at: datetime, said: datetime | None = None) -> Quote:
    """What a machine came to by *at*, in its offer's own currency.

    Args:
        row: Of the ledger.
        at: When it was gone, or now.
        said: When the provider says that it was created, should the row not know.
    """
    from materia.currency import Exchange
    from materia.spending import Spending

    spending = Spending(Exchange())
    spending.begin(row.name, row.offer, row.intended_at, said=row.created_at or said)
    return spending.end(row.name, at)


def instance_of(row: MachineRow) -> Instance:
    """The machine that the ledger has as open, for a provider whose list lacks it."""
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
    """When a machine ended that somebody else destroyed: at its deadline at the latest."""
    return row.destroying_at or min(now, row.expires_at)


def _late(
    rows: Sequence[MachineRow], listed: Sequence[Instance], now: datetime
) -> list[MachineRow]:
    """Machines that may be there already and be in no list yet."""
    machines = [instance for instance in listed if instance.id]  # a key alone is no machine
    return [
        row
        for row in _unlisted(rows, machines)
        if row.state == "intent" and now - row.intended_at < LATE_TO_LIST
    ]


def _unlisted(rows: Sequence[MachineRow], listed: Sequence[Instance]) -> list[MachineRow]:
    names = {instance.name for instance in listed}
    return [row for row in rows if row.name not in names]


def _await_late(
    provider: Provider, late: Sequence[MachineRow], listed: Sequence[Instance], now: datetime
) -> Sequence[Instance]:
    """The list, once all that may be late is in it, or too old to be late."""
    youngest = max(row.intended_at for row in late)
    for _ in poll(min(youngest + LATE_TO_LIST - now, LATE_TO_LIST)):
        listed = provider.list_instances()
        if {row.name for row in late} <= {instance.name for instance in listed if instance.id}:
            break
    return listed


def _settle_unlisted(
    provider: Provider,
    unlisted: Sequence[MachineRow],
    books: _Books,
    clock: Callable[[], datetime],
) -> tuple[list[MachineRow], list[MachineRow], dict[str, str]]:
    """Those that are gone, those that may still appear, and why some are still there."""
    vanished: list[MachineRow] = []
    pending: list[MachineRow] = []
    left: dict[str, str] = {}
    for row in unlisted:
        if row.state == "intent":
            pending += books.never_seen(row, at=clock())
            continue
        instance = instance_of(row)
        try:
            # Lists can be behind: asked for by its identity, it may be there all the same.
            destroy(provider, instance, patience=PATIENCE)
        except MateriaError as error:
            left[row.name] = str(error)
            continue
        books.gone(row, instance, at=unseen_end(row, clock()))
        vanished.append(row)
    return vanished, pending, left


class _Books:
    """The ledger, as far as there is one: without it a sweep goes on, by deadlines alone."""

    def __init__(self, state: State) -> None:
        self._state = state
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
        """A ledger that fails is told of, and keeps no machine alive."""
        try:
            yield
        except (ConfigError, LedgerError) as error:
            self.remark = str(error)

    def open_rows(self, provider: str) -> dict[str, MachineRow]:
        """What the ledger has as open at that provider, by name."""
        if self._ledger is None:
            return {}
        rows: Sequence[MachineRow] = ()
        with self._forgiving():
            rows = self._ledger.machines(open_only=True)
        return {row.name: row for row in rows if row.provider == provider}

    def is_dead(self, run: str) -> bool:
        """Whether the ledger has that run, and it is not alive."""
        if self._ledger is None or self._state.is_alive(run):
            return False
        try:
            return self._ledger.run(run).run == run
        except ConfigError:  # no run of ours
            return False
        except LedgerError as error:
            self.remark = str(error)
            return False

    def destroying(self, name: str, *, at: datetime) -> None:
        if self._ledger is not None:
            with self._forgiving():
                self._ledger.machine_destroying(name, at=at)

    def gone(self, row: MachineRow | None, instance: Instance, *, at: datetime) -> Quote | None:
        """Write that it is gone; what it came to, when the ledger knows."""
        if self._ledger is None or row is None:
            return None
        quote = bill(row, at=at, said=instance.created_at)
        with self._forgiving():
            self._ledger.machine_gone(row.name, at=at, cost=quote.cost, lines=quote.lines)
        return quote

    def never_seen(self, row: MachineRow, *, at: datetime) -> list[MachineRow]:
        """The row, while its machine may still appear; then it is written off."""
        if at - row.intended_at < INTENT_FORGOTTEN:
            return [row]
        if self._ledger is not None:
            with self._forgiving():
                self._ledger.machine_failed(row.name, "its run was killed, and it never appeared")
        return []

    def close_runs(self, *, at: datetime) -> None:
        if self._ledger is not None:
            with self._forgiving():
                close_dead_runs(self._state, self._ledger, at=at)
