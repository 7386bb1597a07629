"""Record the life of one instance: each step in the ledger, and its cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Protocol

from materia.compute import Instance, Money
from materia.errors import MateriaError

from materia_runner.messages.events import MachineState
from materia_runner.rental.cost_meter import addresses_of

if TYPE_CHECKING:
    from materia_runner.ledger.ledger import Ledger
    from materia_runner.ledger.rows import MachineRow
    from materia_runner.rental.cost_meter import CostMeter


class InstanceReporter(Protocol):
    """Shows the user what happens to an instance."""

    def changed(self, row: MachineRow, state: MachineState, *, cost: Money | None) -> None:
        """Show the new state of an instance; *cost* once it is gone."""
        ...

    def warn(self, message: str) -> None:
        """Show a warning."""
        ...

    def clean(self, text: str) -> str:
        """*text* without secrets and control characters."""
        ...


@dataclass(slots=True, kw_only=True)
class InstanceRecord:
    """Records the life of one instance; a `lifecycle.InstanceObserver`.

    Attributes:
        ledger: Ledger of the steps.
        cost_meter: Meter that counts the instance.
        row: The intended instance.
        reporter: Shows each step.
        check_cap: Raises BudgetError when, with the row in the ledger, a cap could be exceeded.
        secure: Copies the intent to where it outlives this computer; raises when it cannot.
    """

    ledger: Ledger
    cost_meter: CostMeter
    row: MachineRow
    reporter: InstanceReporter
    check_cap: Callable[[], None]
    secure: Callable[[], None]

    def requesting(self) -> None:
        """Write the intent to the ledger, compare it with the cap, and copy it.

        Raises:
            ArtifactError: the intent cannot be copied; the provider was not called.
            BudgetError: a cap could be exceeded; the provider was not called.
        """
        self.ledger.intend_machine(self.row)
        try:
            self.check_cap()
            if self.row.rented:
                self.secure()
        except MateriaError as error:
            self.refused(str(error))
            raise
        self._report("asked")

    def refused(self, reason: str, /) -> None:
        """Record that the provider created no instance, and why."""
        self.ledger.machine_failed(self.row.name, self.reporter.clean(reason))
        self._report("refused")

    def undone(self, made: Literal["address", "machine"], /) -> None:
        """Record the cost of an instance, or of its address, that was removed again."""
        offer = self.row.offer if made == "machine" else addresses_of(self.row.offer)
        self.cost_meter.begin(self.row.name, offer, self.row.intended_at)
        self._end()

    def created(self, instance: Instance, /) -> None:
        """Record the instance's ID, and count its cost from here on."""
        now = datetime.now(UTC)
        begun = self.row.intended_at
        self.cost_meter.begin(self.row.name, self.row.offer, begun, said=instance.created_at)
        self.ledger.machine_created(
            self.row.name,
            id=instance.id,
            region=instance.region,
            created_at=instance.created_at or begun,
            at=now,
        )
        self._report("created")

    def ready(self, instance: Instance, /) -> None:
        """Record the address where it answers."""
        host = instance.host or ""
        self.ledger.machine_ready(self.row.name, host=host, at=datetime.now(UTC))
        self._report("ready")

    def destroying(self, _instance: Instance, /) -> None:
        """Record that it will be destroyed."""
        self.ledger.machine_destroying(self.row.name, at=datetime.now(UTC))

    def delayed(self, instance: Instance, reason: str, /) -> None:
        """Warn that it still exists."""
        message = f"cannot destroy {instance.name} yet, retrying: {reason}"
        self.reporter.warn(message)

    def gone(self, _instance: Instance, /) -> None:
        """Record its end and its cost."""
        self._end()

    def _end(self) -> None:
        now = datetime.now(UTC)
        quote = self.cost_meter.end(self.row.name, now)
        self.ledger.machine_gone(self.row.name, at=now, cost=quote.cost, lines=quote.lines)
        self._report("gone", cost=quote.cost)

    def _report(self, state: MachineState, *, cost: Money | None = None) -> None:
        self.reporter.changed(self.row, state, cost=cost)
