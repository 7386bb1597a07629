"""Destroy what runs left behind: what is past its deadline, and what a dead run of ours made.

The provider's own list decides. Without a ledger, as in CI or on another machine, deadlines alone
do; a ledger adds the runs that were started here and are not alive any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from materia.compute import Instance, Money
from materia.errors import MateriaError, OrphanError, ProviderError
from materia.protocols import Provider
from materia_providers.list_entries import left_out_of
from materia_providers.polling import poll

from materia_runner.rental.lifecycle import destroy
from materia_runner.rental.sweep_ledger import FORGOTTEN, SweepLedger, instance_of

if TYPE_CHECKING:
    from materia_runner.ledger.rows import MachineRow
    from materia_runner.ledger.state import State

EXPIRED = "its deadline has passed"
RUN_OVER = "its run is over"
# A provider that cannot be reached is not waited for: the next sweep goes on.
PATIENCE = timedelta(minutes=1)
# A machine that was asked for appears in the provider's list up to this much later. The sweep waits
# that long. An entry that the list does not show stays open for FORGOTTEN: then a later sweep, and
# not this one, may close it.
LATE_TO_LIST = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """What a run left behind.

    Attributes:
        instance: The machine, or what is left of one.
        why: Why it may be destroyed, for people.
    """

    instance: Instance
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptInstance:
    """What is there and may not be destroyed now.

    Attributes:
        instance: The machine, or what is left of one.
        alive: Whether its run is alive here; else this computer knows nothing of the run.
    """

    instance: Instance
    alive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one sweep of one provider found, and did.

    Attributes:
        provider: Its name.
        found: What was left behind.
        left: Why it is still there, by the name of the instance.
        costs: What the destroyed ones came to, by name, as far as the ledger knows their prices.
        vanished: Machines of dead runs that the ledger had as open and the provider has no more.
        pending: Machines of dead runs that are too young to be written off: the provider's list
            may not show them yet.
        kept: What is listed and stays: of a run that is alive, or unknown here before its deadline.
        dry_run: Whether nothing was to be changed.
        remark: What went wrong with the ledger, or empty.
        unseen: A line for each place that the provider could not list: it was not swept.
    """

    provider: str
    found: tuple[Orphan, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)
    costs: Mapping[str, Money] = field(default_factory=dict)
    vanished: tuple[MachineRow, ...] = ()
    pending: tuple[MachineRow, ...] = ()
    kept: tuple[KeptInstance, ...] = ()
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


def find_orphans(
    listed: Iterable[Instance], *, now: datetime, dead_runs: Callable[[str], bool]
) -> tuple[Orphan, ...]:
    """What of *listed* is left behind; nothing else may ever be destroyed.

    Args:
        listed: What the provider says is there.
        now: In UTC; whose deadline has passed is left behind, whoever made it.
        dead_runs: Whether a run was started here and is not alive.
    """
    found = []
    for instance in listed:
        if instance.expires_at <= now:
            found.append(Orphan(instance=instance, why=EXPIRED))
        elif instance.run and dead_runs(instance.run):
            found.append(Orphan(instance=instance, why=RUN_OVER))
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
    with SweepLedger(state, now=now) as books:
        rows = books.open_rows(name)
        dead = [row for row in rows.values() if not state.is_alive(row.run, now=now)]
        late = [] if dry_run else _late(dead, listed, now)
        if late:
            listed = _await_late(provider, late, listed, now)
        found = find_orphans(listed, now=now, dead_runs=books.is_dead)
        kept = _kept(listed, found, alive=lambda run: state.is_alive(run, now=now))
        unlisted = _unlisted(dead, listed)
        unseen = left_out_of(listed)
        if dry_run:
            young = tuple(row for row in unlisted if _is_young(row, now))
            return Swept(
                provider=name,
                found=found,
                pending=young,
                kept=kept,
                dry_run=True,
                remark=books.remark,
                unseen=unseen,
            )
        # In a place that could not be listed it may be there: nothing is concluded from the list.
        hidden = [row for row in unlisted if unseen and row.state == "intent"]
        unlisted = [row for row in unlisted if row not in hidden]
        left: dict[str, str] = {}
        costs: dict[str, Money] = {}
        pending: list[MachineRow] = [*hidden]
        for one in found:
            row = rows.get(one.instance.name)
            # A key or an address is listed under the name of its machine before the machine is.
            instance = replace(one.instance, id=one.instance.id or (row.id if row else ""))
            shown = bool(one.instance.id)
            if shown or (row and row.id):
                books.destroying(instance.name, at=clock())
            if reason := _destroyed(provider, instance):
                left[instance.name] = reason
            elif row is not None and not shown:
                pending += books.never_listed(row, at=clock())
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
            kept=kept,
            remark=books.remark,
            unseen=unseen,
        )


def _kept(
    listed: Iterable[Instance], found: Iterable[Orphan], *, alive: Callable[[str], bool]
) -> tuple[KeptInstance, ...]:
    leaving = {one.instance.name for one in found}
    return tuple(
        KeptInstance(instance=one, alive=bool(one.run) and alive(one.run))
        for one in listed
        if one.name not in leaving
    )


def _is_young(row: MachineRow, now: datetime) -> bool:
    """Whether the provider's list may still be behind."""
    return now - _asked_at(row) < FORGOTTEN


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
    """Machines that may exist already and that no list shows yet."""
    machines = [instance for instance in listed if instance.id]  # a key alone is no machine
    return [row for row in _unlisted(rows, machines) if now - _asked_at(row) < LATE_TO_LIST]


def _asked_at(row: MachineRow) -> datetime:
    """When its create was last known to be under way; the ledger's own clock."""
    return row.created_at or row.intended_at


def _unlisted(rows: Sequence[MachineRow], listed: Sequence[Instance]) -> list[MachineRow]:
    names = {instance.name for instance in listed}
    return [row for row in rows if row.name not in names]


def _await_late(
    provider: Provider, late: Sequence[MachineRow], listed: Sequence[Instance], now: datetime
) -> Sequence[Instance]:
    """The list, once all that may be late is in it, or too old to be late."""
    youngest = max(_asked_at(row) for row in late)
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
        if row.state == "intent":  # there is no identity by which it could be destroyed
            pending += books.never_listed(row, at=clock())
            continue
        instance = instance_of(row)
        # Lists can be behind: asked for by its identity, it may be there all the same.
        books.destroying(row.name, at=clock())
        if reason := _destroyed(provider, instance):
            left[row.name] = reason
        elif still := books.never_listed(row, at=clock()):
            pending += still
        else:
            vanished.append(row)
    return vanished, pending, left
