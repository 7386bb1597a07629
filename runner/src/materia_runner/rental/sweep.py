"""Sweep: destroy orphaned instances, those past their deadline and those of dead runs.

The provider's list decides. Without a ledger, as in CI or on another computer, only deadlines
count; a ledger adds runs that were started here and are no longer alive.
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
# How long to retry a provider that cannot be reached; the next sweep continues.
PATIENCE = timedelta(minutes=1)
# A requested machine can appear in the provider's list this much later; the sweep waits that long.
# An entry that the list does not show stays open for FORGOTTEN, for a later sweep to close.
LATE_TO_LIST = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """An instance that a run left behind.

    Attributes:
        instance: The machine, or what is left of one.
        why: The reason why it may be destroyed, as text.
    """

    instance: Instance
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptInstance:
    """An instance that must not be destroyed now.

    Attributes:
        instance: The machine, or what is left of one.
        alive: Whether its run is alive here; otherwise the run is unknown on this computer.
    """

    instance: Instance
    alive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """Result of the sweep of one provider.

    Attributes:
        provider: Name of the provider.
        found: Orphaned instances.
        left: Errors of instances that still exist, by name.
        costs: Costs of destroyed instances, by name, where the ledger has their prices.
        vanished: Machines of dead runs that are open in the ledger and gone at the provider.
        pending: Machines of dead runs that are too young to be closed: the provider's list may not
            show them yet.
        kept: Listed instances that stay: their run is alive, or unknown here before its deadline.
        dry_run: Whether the sweep changes nothing.
        remark: Error of the ledger, or empty.
        unseen: A line for each place that the provider could not list and the sweep skipped.
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
        """Raise an error when something is left.

        Raises:
            OrphanError: instances could not be destroyed; the message says how to delete them.
        """
        if self.left:
            raise OrphanError("\n  ".join(self.left.values()))


def find_orphans(
    listed: Iterable[Instance], *, now: datetime, dead_runs: Callable[[str], bool]
) -> tuple[Orphan, ...]:
    """Orphaned instances in *listed*; nothing else may ever be destroyed.

    Args:
        listed: Instances that the provider lists.
        now: Time in UTC; an instance past its deadline is an orphan, on every computer.
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
    """Destroy orphaned instances at one provider, verify that they are gone, and record it.

    Continues after an instance that cannot be destroyed. Idempotent.

    Args:
        provider: The opened provider.
        name: Name of its plugin.
        state: The state folder; it is not created when missing.
        now: Time in UTC.
        dry_run: Only look: change nothing at the provider and nothing here.

    Raises:
        OrphanError: at the end, with all instances that are left.
        ProviderError: the provider cannot be asked.
    """
    swept = try_sweep(provider, name=name, state=state, now=now, dry_run=dry_run)
    swept.check()
    return swept


def try_sweep(
    provider: Provider, *, name: str, state: State, now: datetime, dry_run: bool = False
) -> Swept:
    """Sweep like `sweep_provider`, but return instances that are left instead of raising.

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
        # They may be in a place that could not be listed: the list proves nothing about them.
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
    """Whether the provider's list may not show the machine yet."""
    return now - _asked_at(row) < FORGOTTEN


def _destroyed(provider: Provider, instance: Instance) -> str:
    """Destroy the instance; returns the error when it still exists, or an empty text."""
    try:
        destroy(provider, instance, patience=PATIENCE)
    except MateriaError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 -- a bug in the plugin must not stop the sweep
        return f"{instance.provider}: {instance.name}: {type(error).__name__}: {error}"
    return ""


def _late(
    rows: Sequence[MachineRow], listed: Sequence[Instance], now: datetime
) -> list[MachineRow]:
    """Machines that may exist already, and that the list does not show yet."""
    machines = [instance for instance in listed if instance.id]  # a key alone is not a machine
    return [row for row in _unlisted(rows, machines) if now - _asked_at(row) < LATE_TO_LIST]


def _asked_at(row: MachineRow) -> datetime:
    """Time of its creation or of the request, by the ledger's clock."""
    return row.created_at or row.intended_at


def _unlisted(rows: Sequence[MachineRow], listed: Sequence[Instance]) -> list[MachineRow]:
    names = {instance.name for instance in listed}
    return [row for row in rows if row.name not in names]


def _await_late(
    provider: Provider, late: Sequence[MachineRow], listed: Sequence[Instance], now: datetime
) -> Sequence[Instance]:
    """List again until all *late* machines appear, or are too old to be late."""
    youngest = max(_asked_at(row) for row in late)
    for _ in poll(min(youngest + LATE_TO_LIST - now, LATE_TO_LIST)):
        with suppress(ProviderError):  # use the earlier list until the provider answers again
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
    """Machines that are gone, machines that may still appear, and errors of those that are left."""
    vanished: list[MachineRow] = []
    pending: list[MachineRow] = []
    left: dict[str, str] = {}
    for row in unlisted:
        if row.state == "intent":  # without an ID it cannot be destroyed
            pending += books.never_listed(row, at=clock())
            continue
        instance = instance_of(row)
        # The list can be behind: the machine may still exist under its ID.
        books.destroying(row.name, at=clock())
        if reason := _destroyed(provider, instance):
            left[row.name] = reason
        elif still := books.never_listed(row, at=clock()):
            pending += still
        else:
            vanished.append(row)
    return vanished, pending, left
