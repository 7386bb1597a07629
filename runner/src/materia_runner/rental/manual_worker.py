"""Create and destroy a worker by hand: it outlives its process, but not its deadline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from materia.compute import Instance, Money
from materia.errors import (
    ConfigError,
    LedgerError,
    NoOfferError,
    OrphanError,
    ProviderError,
)
from materia_providers.list_entries import left_out_of

from materia_runner.config.pipeline import NO_BUDGET, Budget
from materia_runner.ledger.rows import MachineRow, RunRow
from materia_runner.ledger.run_record import recorded_run
from materia_runner.messages.events import MachineState
from materia_runner.planning.budget import worst_case
from materia_runner.pricing.currency import Exchange
from materia_runner.rental import manual_worker_files as worker_keys
from materia_runner.rental.cost_meter import CostMeter
from materia_runner.rental.failover import Failover, FailoverNotices
from materia_runner.rental.lifecycle import destroy
from materia_runner.rental.manual_worker_files import Worker
from materia_runner.rental.rent import Renter, Wanted, new_access
from materia_runner.rental.sweep_ledger import FORGOTTEN, bill, instance_of, unseen_end
from materia_runner.secrets.redaction import clean
from materia_runner.signals import interrupts
from materia_runner.ssh.library import require_asyncssh

if TYPE_CHECKING:
    from materia.protocols import Provider

    from materia_runner.ledger.state import State
    from materia_runner.pricing.cost import Quote

STAGE = "worker"
NOBODY = "no provider can rent a machine for the worker now"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRequest:
    """A single worker that a user asks for.

    Attributes:
        run: ID of the run that creates it.
        name: Name of the worker, or None for the next free name.
        lifetime: Time from its creation to its deadline.
        directory: Folder of the pipeline whose settings are used.
        budget: The caps; only the monthly cap applies.
        exchange: Exchange rates to the currency of the caps.
        hidden: Secrets to redact in output and records.
    """

    run: str
    name: str | None
    lifetime: timedelta
    directory: Path
    budget: Budget = NO_BUDGET
    exchange: Exchange = field(default_factory=Exchange)
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroyed:
    """A machine that is gone.

    Attributes:
        instance: The machine.
        cost: Its cost, or None when it is missing in the ledger.
    """

    instance: Instance
    cost: Money | None


def create_worker(
    wanted: WorkerRequest,
    quotes: Sequence[Quote],
    providers: Mapping[str, Provider],
    *,
    state: State,
    say: Callable[[str], None],
    announce: Callable[[Worker, Quote], None],
) -> None:
    """Create a worker from the first quote whose instance can be rented, and announce it.

    On return the worker was announced; on an error nothing of it is left.

    Args:
        wanted: The worker to create.
        quotes: Quotes for its whole lifetime, best first.
        providers: Opened providers, by name.
        state: State folder for its keys and its record.
        say: Shows a sentence to the user.
        announce: Shows the worker and its cost until its deadline; signals are held back.

    Raises:
        BudgetError: the month could cost more than its cap; nothing is left.
        Interrupted: SIGINT, SIGTERM or SIGHUP came; nothing is left.
        NoOfferError: each of *quotes* was refused; nothing is left.
        OrphanError: something is left.
        MateriaError: the last provider failed, or three machines were paid for and never answered;
            nothing is left.
    """
    require_asyncssh()
    with (
        interrupts() as signals,
        signals.held(),
        state.hold(wanted.run),
        state.ledger() as ledger,
    ):
        worker = worker_keys.reserve(state, wanted.name, run=wanted.run)
        renter = Renter(
            run=wanted.run,
            state=state,
            ledger=ledger,
            cost_meter=CostMeter(wanted.exchange),
            budget=wanted.budget,
            exchange=wanted.exchange,
            signals=signals,
        )
        reports = _Reports(say, wanted.hidden)
        maker = _Maker(
            worker=worker, wanted=wanted, renter=renter, reports=reports, announce=announce
        )
        row = RunRow(
            run=wanted.run,
            started_at=datetime.now(UTC),
            providers=tuple(sorted(providers)),
            directory=str(wanted.directory),
        )
        try:
            with recorded_run(ledger, row, clean=reports.clean):
                maker.first_of(quotes, providers)
        except BaseException:
            if not ledger.machines(run=wanted.run, open_only=True):
                worker_keys.forget(state, worker)
            raise


def destroy_worker(provider: Provider, name: str, *, state: State) -> Destroyed | None:
    """Destroy the machine called *name*, remove its keys, and record its cost.

    Returns None when neither the provider nor the ledger has it.

    Raises:
        ConfigError: it belongs to a run that is alive.
        OrphanError: something of it is left.
        ProviderError: it was requested, and the provider's list may not show it yet.
    """
    with interrupts() as signals, state.ledger() as ledger, signals.held():
        rows = [row for row in ledger.machines(open_only=True) if row.name == name]
        there = provider.list_instances()
        listed = [one for one in there if one.name == name]
        instances = listed or [instance_of(row) for row in rows]
        if not instances and (unseen := left_out_of(there)):
            raise ProviderError("; ".join(unseen))  # it may be in a place that was not listed
        if not instances:
            return None
        run, by_hand = instances[0].run, instances[0].stage == STAGE
        _refuse_busy(state, name, run, by_hand=by_hand)
        with suppress(LedgerError):  # a full disk must not cost money
            ledger.machine_destroying(name, at=datetime.now(UTC))
        for instance in instances:
            destroy(provider, instance)
        _refuse_unlisted(rows, listed)
        cost = None
        for row in rows:
            now = datetime.now(UTC)
            ended = now if listed else unseen_end(row, now)
            quote = bill(row, at=ended, said=instances[0].created_at)
            ledger.machine_gone(name, at=ended, cost=quote.cost, lines=quote.lines)
            cost = quote.cost
        worker_keys.forget_run(state, run)
        if by_hand:  # a process killed at its very end did not record it
            ledger.end_run(run, "ok", at=datetime.now(UTC))
    state.settle(run)
    return Destroyed(instance=instances[0], cost=cost)


def _refuse_unlisted(rows: Sequence[MachineRow], listed: Sequence[Instance]) -> None:
    """Keep the ledger entry of a machine open that the provider may not list yet."""
    if any(one.id for one in listed):
        return
    for row in rows:
        until = (row.created_at or row.intended_at) + FORGOTTEN
        if row.rented and datetime.now(UTC) < until:
            raise ProviderError(
                f"{row.provider}: {row.name} was requested, and the provider does not list it; it "
                f"may still appear: destroy it again after {until:%H:%M} UTC, or run "
                "`materia sweep`"
            )


def _refuse_busy(state: State, name: str, run: str, *, by_hand: bool) -> None:
    if not state.is_alive(run):
        return
    if not by_hand:
        raise ConfigError(f"cannot destroy {name}: its run {run} is alive; stop that run instead")
    worker = worker_keys.find(state, name)
    if worker is not None and worker.host is None:
        raise ConfigError(
            f"cannot destroy {name}: another process is creating it; stop that process instead"
        )


@dataclass(frozen=True, slots=True)
class _Reports:
    """Shows the life of the worker's instance in sentences; an `InstanceReporter`."""

    say: Callable[[str], None]
    hidden: tuple[str, ...]

    def changed(self, row: MachineRow, state: MachineState, *, cost: Money | None) -> None:
        place = f"{row.instance_type} in {row.zone or row.region}"
        if state == "asked":
            self.say(f"{row.provider}: requesting {place}")
        elif state == "created":
            self.say(f"{row.provider}: created {place}; waiting for SSH")

    def warn(self, message: str) -> None:
        self.say(message)

    def clean(self, text: str) -> str:
        return clean(text, self.hidden)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    worker: Worker
    wanted: WorkerRequest
    renter: Renter
    reports: _Reports
    announce: Callable[[Worker, Quote], None]

    def first_of(self, quotes: Sequence[Quote], providers: Mapping[str, Provider]) -> None:
        failover = Failover(offers=[quote.offer for quote in quotes])
        with FailoverNotices(lambda _, text: self.reports.say(text)) as notices:
            while True:
                left = [quote for quote in quotes if failover.is_open(quote.offer)]
                if not left:
                    raise NoOfferError("\n  ".join([NOBODY, *failover.lines()]))
                quote = left[0]
                worst = worst_case(quote.offer, quote.duration).cost
                with self.renter.signals.released():
                    self.renter.check_month(worst, written=False)
                notices.tried()
                try:
                    self.make(quote, worst, providers[quote.offer.provider])
                except OrphanError:
                    raise
                except (ConfigError, ProviderError) as error:
                    notices.hold(STAGE, error, failover.learn(error, quote.offer))
                else:
                    return

    def make(self, quote: Quote, worst: Money, provider: Provider) -> None:
        offer, state, signals = quote.offer, self.renter.state, self.renter.signals
        expires_at = (datetime.now(UTC) + self.wanted.lifetime).replace(microsecond=0)
        access = new_access(expires_at)
        worker = replace(
            self.worker,
            provider=offer.provider,
            region=offer.zone or offer.region,
            instance_type=offer.instance_type,
            expires_at=expires_at,
        )
        worker_keys.save(state, worker)
        host_key = access.host_key.public
        worker_keys.save_keys(state, worker, key=access.login_key, host_key=host_key)
        wanted = Wanted(
            name=worker.machine,
            stages=(STAGE,),
            offer=offer,
            estimate=quote.cost,
            worst=worst,
            expires_at=expires_at,
            access=access,
        )
        with self.renter.rent(provider, wanted, self.reports, keep=True) as instance:
            worker = replace(worker, host=instance.host, port=instance.port)
            worker_keys.save(state, worker)
            state.keep_until(self.wanted.run, expires_at)
            with signals.released():
                pass  # deliver a signal that came meanwhile
            self.announce(worker, quote)
