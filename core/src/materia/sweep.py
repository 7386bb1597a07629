"""Destroy what runs left behind: what is past its deadline, and what a dead run of ours made.

The provider's own list decides. Without a ledger, as in CI or on another machine, deadlines alone
do; a ledger adds the runs that were started here and are not alive any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from materia.entries import left_out_of
from materia.errors import MateriaError, OrphanError, ProviderError
from materia.lifecycle import destroy
from materia.machines import Instance, Money
from materia.polling import poll
from materia.protocols import Provider
from materia.sweep_ledger import SweepLedger, instance_of, unseen_end

if TYPE_CHECKING:
    from materia.ledger_rows import MachineRow
    from materia.state import State

EXPIRED = "its deadline has passed"
RUN_OVER = "its run is over"
# A provider that cannot be reached is not waited for: the next sweep goes on.
PATIENCE = timedelta(minutes=1)
# A machine whose create was never answered appears in the list up to so much later.
LATE_TO_LIST = timedelta(seconds=30)


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
        unseen: A line for each place that the provider could not list: it was not swept.
    """

    provider: str
    found: tuple[Leftover, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)
    costs: Mapping[str, Money] = field(default_factory=dict)
    vanished: tuple[MachineRow, ...] = ()
    pending: tuple[MachineRow, ...] = ()
    dry_run: bool = False
    remark: str = ""
    unseen: tuple[str, ...] = ()

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
    with SweepLedger(state) as books:
        rows = books.open_rows(name)
        dead = [row for row in rows.values() if not state.is_alive(row.run)]
        late = [] if dry_run else _late(dead, listed, now)
        if late:
            listed = _await_late(provider, late, listed, now)
        found = leftovers(listed, now=now, dead_runs=books.is_dead)
        unlisted = _unlisted(dead, listed)
        unseen = left_out_of(listed)
        if dry_run:
            intents = tuple(row for row in unlisted if row.state == "intent")
            return Swept(provider=name, found=found, pending=intents, dry_run=True, unseen=unseen)
        # In a place that could not be listed it may be there: nothing is concluded from the list.
        hidden = [row for row in unlisted if unseen and row.state == "intent"]
        unlisted = [row for row in unlisted if row not in hidden]
        left: dict[str, str] = {}
        costs: dict[str, Money] = {}
        pending: list[MachineRow] = [*hidden]
        for one in found:
            instance = one.instance
            row = rows.get(instance.name)
            # A key, say, that was made before the machine it is for.
            before = row if row and row.state == "intent" and not instance.id else None
            if before is None:
                books.destroying(instance.name, at=clock())
            if reason := _destroyed(provider, instance):
                left[instance.name] = reason
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
            unseen=unseen,
        )


def _destroyed(provider: Provider, instance: Instance) -> str:
    """Why it is still there, or nothing when it is gone."""
    try:
        destroy(provider, instance, patience=PATIENCE)
    except MateriaError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 -- a fault of the plugin keeps no other alive
        return f"{instance.provider}: {instance.name}: {type(error).__name__}: {error}"
    return ""


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
        with suppress(ProviderError):  # the list from before does until it answers again
            listed = provider.list_instances()
        if {row.name for row in late} <= {instance.name for instance in listed if instance.id}:
            break
    return listed


def _settle_unlisted(
    provider: Provider,
    unlisted: Sequence[MachineRow],
    books: SweepLedger,
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
        # Lists can be behind: asked for by its identity, it may be there all the same.
        if reason := _destroyed(provider, instance):
            left[row.name] = reason
            continue
        books.gone(row, instance, at=unseen_end(row, clock()))
        vanished.append(row)
    return vanished, pending, left
