"""Destroy what runs left behind: what is past its deadline, and what a dead run of ours made.

The provider's own list decides. Without a ledger, as in CI or on another machine, deadlines alone
do; a ledger adds the runs that were started here and are not alive any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from materia.errors import ConfigError, LedgerError, MateriaError, OrphanError
from materia.lifecycle import destroy
from materia.machines import Instance, Money
from materia.polling import poll
from materia.protocols import Provider

if TYPE_CHECKING:
    from materia.cost import Quote
    from materia.ledger import Ledger
    from materia.ledger_rows import MachineRow
    from materia.state import State

EXPIRED = "its deadline has passed"
RUN_OVER = "its run is over"
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
    raise NotImplementedError
