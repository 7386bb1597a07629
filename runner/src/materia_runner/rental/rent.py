"""Rent an instance for the stages of a run or for a single worker; destroy it in every case.

Check the provider's clock, write the intent to the ledger, compare it with the monthly cap, create,
wait for SSH. After a failure or an interrupt, the instance is destroyed and its cost is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from materia.compute import Instance, InstanceRequest, Money, Offer
from materia_providers.clock import check_clock

from materia_runner.config.pipeline import Budget
from materia_runner.ledger.rows import MachineRow
from materia_runner.pricing.currency import Exchange
from materia_runner.rental.cost_meter import CostMeter, refuse_over_month
from materia_runner.rental.instance_record import InstanceRecord, InstanceReporter
from materia_runner.rental.lifecycle import rented_instance
from materia_runner.signals import Interrupts

if TYPE_CHECKING:
    from materia.protocols import Provider
    from materia_providers.cloud_init import KeyPair

    from materia_runner.ledger.ledger import Ledger
    from materia_runner.ledger.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Keys of one instance, and the cloud-init text that installs them.

    Attributes:
        login_key: SSH key to log in.
        host_key: SSH host key, to verify the instance.
        user_data: cloud-init text for the provider's create call.
    """

    login_key: KeyPair
    host_key: KeyPair
    user_data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An instance to rent.

    Attributes:
        name: Unique name of the instance.
        stages: Labels of its stages.
        offer: The offer to rent.
        estimate: Its expected cost.
        worst: Its cost at most, until its deadline.
        expires_at: Its deadline, in UTC.
        access: Keys to log in; None for the user's own machine.
    """

    name: str
    stages: tuple[str, ...]
    offer: Offer
    estimate: Money
    worst: Money
    expires_at: datetime
    access: Access | None = None


def _unsecured() -> None:
    """Copy nothing: there is no bucket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renter:
    """Rents the instances of one run.

    Attributes:
        run: ID of the run.
        state: State folder, which marks the run as one that rents.
        ledger: Ledger of every step.
        cost_meter: Cost of the run's instances.
        budget: The caps.
        exchange: The currency of the caps, and the exchange rates.
        signals: Signals, held back while an instance is created or destroyed.
        secure: Copies each intent to where it outlives this computer; raises when it cannot.
    """

    run: str
    state: State
    ledger: Ledger
    cost_meter: CostMeter
    budget: Budget
    exchange: Exchange
    signals: Interrupts
    secure: Callable[[], None] = _unsecured

    @contextmanager
    def rent(
        self, provider: Provider, wanted: Wanted, reporter: InstanceReporter, *, keep: bool = False
    ) -> Iterator[Instance]:
        """Context manager of a reachable instance; signals are held back: release them inside.

        Args:
            provider: The opened provider of the offer.
            wanted: The instance to rent.
            reporter: Shows each step.
            keep: Whether the instance stays when the block ends without an error. Otherwise it
                is destroyed.

        Raises:
            ArtifactError: the intent cannot be copied; nothing was requested.
            BudgetError: the month could cost more than its cap; nothing was requested.
            Interrupted: a signal came; nothing is left.
            OrphanError: it could not be destroyed.
            ProviderError: it could not be created or reached; nothing is left of it.
        """
        offer, access = wanted.offer, wanted.access
        check_clock(provider, offer.provider)
        row = MachineRow(
            name=wanted.name,
            run=self.run,
            stages=wanted.stages,
            provider=offer.provider,
            region=offer.region,
            zone=offer.zone,
            instance_type=offer.instance_type,
            offer=offer,
            estimate=wanted.estimate,
            worst=wanted.worst,
            expires_at=wanted.expires_at,
            intended_at=datetime.now(UTC),
        )
        request = InstanceRequest(
            name=row.name,
            run=self.run,
            stage=label_of(wanted.stages),
            offer=offer,
            expires_at=row.expires_at,
            user_data=access.user_data if access else "",
            public_key=access.login_key.public if access else "",
        )
        record = InstanceRecord(
            ledger=self.ledger,
            cost_meter=self.cost_meter,
            row=row,
            reporter=reporter,
            check_cap=lambda: self.check_month(wanted.worst, written=True),
            secure=self.secure,
        )
        self.state.touch(self.run)
        host_key = access.host_key.public if access else None
        with rented_instance(
            provider, request, self.signals, record, host_key=host_key, keep=keep
        ) as instance:
            yield instance

    def check_month(self, worst: Money, *, written: bool) -> None:
        """Refuse an instance whose *worst* case would exceed the monthly cap.

        Args:
            worst: Worst-case cost, in any currency that has a rate.
            written: Whether the instance is already in the ledger, and counts there.

        Raises:
            BudgetError: the month could cost more than its cap.
        """
        refuse_over_month(
            self.budget,
            self.ledger,
            self.exchange,
            worst=worst,
            now=datetime.now(UTC),
            written=written,
        )


def label_of(stages: tuple[str, ...]) -> str:
    """The stages, as written in labels and names of instances: without the names of sources."""
    return "-".join(stage.partition(" ")[0] for stage in stages)


def new_access(expires_at: datetime) -> Access:
    """Fresh keys for an instance that powers itself off at *expires_at*."""
    from materia_providers.cloud_init import cloud_config, generate_key, user_data

    login_key, host_key = generate_key(), generate_key()
    config = cloud_config(
        login_key=login_key.public,
        host_key=host_key,
        now=datetime.now(UTC),
        expires_at=expires_at,
    )
    return Access(login_key=login_key, host_key=host_key, user_data=user_data(config))
