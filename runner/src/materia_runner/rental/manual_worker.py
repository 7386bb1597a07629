"""A worker made by hand: it outlives the process that made it, and never its deadline."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from materia.compute import Instance, InstanceRequest, Money
from materia.errors import (
    ConfigError,
    LedgerError,
    MateriaError,
    NoOfferError,
    OrphanError,
    ProviderError,
)
from materia_providers.clock import check_clock
from materia_providers.cloud_init import cloud_config, generate_key, user_data
from materia_providers.list_entries import left_out_of

from materia_runner.ledger.rows import MachineRow, RunRow, RunState
from materia_runner.planning.budget import worst_case
from materia_runner.rental import manual_worker_files as worker_keys
from materia_runner.rental.cost_meter import addresses_of
from materia_runner.rental.failover import Announcing, Failover
from materia_runner.rental.lifecycle import READY_TIMEOUT, destroy, reach
from materia_runner.rental.manual_worker_files import Worker
from materia_runner.rental.sweep_ledger import FORGOTTEN, bill, instance_of, unseen_end
from materia_runner.signals import Interrupted, Interrupts, interrupts
from materia_runner.ssh.library import require_asyncssh

if TYPE_CHECKING:
    from materia.protocols import Provider

    from materia_runner.ledger.ledger import Ledger
    from materia_runner.ledger.state import State
    from materia_runner.pricing.cost import Quote

STAGE = "worker"
NOBODY = "no provider has a machine for the worker now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A worker to be made.

    Attributes:
        run: Identity that stands for its making.
        name: What its user calls it, or None for the next free name.
        lifetime: From its making to its deadline.
        directory: Of the pipeline whose settings are used.
    """

    run: str
    name: str | None
    lifetime: timedelta
    directory: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroyed:
    """A machine that is gone.

    Attributes:
        instance: What it was.
        cost: What it came to, or None when the ledger did not know it.
    """

    instance: Instance
    cost: Money | None


def create_worker(
    wanted: Wanted,
    quotes: Sequence[Quote],
    providers: Mapping[str, Provider],
    *,
    state: State,
    afford: Callable[[Quote], None],
    say: Callable[[str], None],
    announce: Callable[[Worker, Quote], None],
) -> None:
    """Make a worker of the first quote that can be had, and announce it.

    However this ends, either the worker was announced, or nothing of it is left.

    Args:
        wanted: What is wanted.
        quotes: For its whole lifetime, best first.
        providers: Opened, by name.
        state: Where its keys, and that it exists, are kept.
        afford: Raises BudgetError for what may not be rented.
        say: Told in words what happens.
        announce: Told of the worker, and what it costs at its deadline; signals are held meanwhile.

    Raises:
        Interrupted: SIGINT, SIGTERM or SIGHUP came; nothing is left.
        NoOfferError: each of *quotes* was refused; nothing is left.
        OrphanError: something is left.
        MateriaError: what ended the last provider, or three machines that were paid for and never
            answered; nothing is left.
    """
    require_asyncssh()
    with (
        interrupts() as signals,
        signals.held(),
        state.hold(wanted.run),
        state.ledger() as ledger,
    ):
        worker = worker_keys.reserve(state, wanted.name, run=wanted.run)
        maker = _Maker(
            worker=worker, wanted=wanted, state=state, ledger=ledger, signals=signals, say=say
        )
        ledger.begin_run(_run_row(wanted, tuple(sorted(providers))))
        try:
            made, quote = maker.first_of(quotes, providers, afford)
        except BaseException as error:
            ended: RunState = "interrupted" if isinstance(error, Interrupted) else "failed"
            ledger.end_run(wanted.run, ended, at=datetime.now(UTC), error=str(error))
            if not ledger.machines(run=wanted.run, open_only=True):
                worker_keys.forget(state, worker)
            raise
        announce(made, quote)
        ledger.end_run(wanted.run, "ok", at=datetime.now(UTC))


def destroy_worker(provider: Provider, name: str, *, state: State) -> Destroyed | None:
    """Destroy the machine of that name, forget its keys, and write down what it cost.

    None when neither the provider nor the ledger has it.

    Raises:
        ConfigError: it belongs to a run that is alive.
        OrphanError: something of it is left.
        ProviderError: it was asked for, and the provider's list may not show it yet.
    """
    with interrupts() as signals, state.ledger() as ledger, signals.held():
        rows = [row for row in ledger.machines(open_only=True) if row.name == name]
        there = provider.list_instances()
        listed = [one for one in there if one.name == name]
        instances = listed or [instance_of(row) for row in rows]
        if not instances and (unseen := left_out_of(there)):
            raise ProviderError("; ".join(unseen))  # it may be where nobody could look
        if not instances:
            return None
        run, by_hand = instances[0].run, instances[0].stage == STAGE
        _refuse_busy(state, name, run, by_hand=by_hand)
        with suppress(LedgerError):  # as in `unmake`
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
        if by_hand:  # a process that was killed at its very end has not said so
            ledger.end_run(run, "ok", at=datetime.now(UTC))
    state.settle(run)
    return Destroyed(instance=instances[0], cost=cost)


def _refuse_unlisted(rows: Sequence[MachineRow], listed: Sequence[Instance]) -> None:
    """Keep the entry open of a machine that the provider may not list yet, as a sweep does."""
    if any(one.id for one in listed):
        return
    for row in rows:
        until = (row.created_at or row.intended_at) + FORGOTTEN
        if row.rented and datetime.now(UTC) < until:
            raise ProviderError(
                f"{row.provider}: {row.name} was asked for and the provider does not list it; it "
                f"may still appear: destroy it again after {until:%H:%M} UTC, or run materia sweep"
            )


def _refuse_busy(state: State, name: str, run: str, *, by_hand: bool) -> None:
    if not state.is_alive(run):
        return
    if not by_hand:
        raise ConfigError(f"{name} works for the run {run}, which is alive: end that run instead")
    worker = worker_keys.find(state, name)
    if worker is not None and worker.host is None:
        raise ConfigError(f"{name} is being made by another process: end that one instead")


@dataclass(slots=True, kw_only=True)
class _Maker:
    worker: Worker
    wanted: Wanted
    state: State
    ledger: Ledger
    signals: Interrupts
    say: Callable[[str], None]

    def first_of(
        self,
        quotes: Sequence[Quote],
        providers: Mapping[str, Provider],
        afford: Callable[[Quote], None],
    ) -> tuple[Worker, Quote]:
        failover = Failover(offers=[quote.offer for quote in quotes])
        with Announcing(lambda _, text: self.say(text)) as news:
            while True:
                left = [quote for quote in quotes if failover.is_open(quote.offer)]
                if not left:
                    raise NoOfferError("\n  ".join([NOBODY, *failover.lines()]))
                quote = left[0]
                with self.signals.released():
                    afford(quote)
                news.tried()
                try:
                    return self.make(quote, providers[quote.offer.provider]), quote
                except OrphanError:
                    raise
                except (ConfigError, ProviderError) as error:
                    news.hold(STAGE, error, failover.learn(error, quote.offer))

    def make(self, quote: Quote, provider: Provider) -> Worker:
        offer = quote.offer
        check_clock(provider, offer.provider)
        now = datetime.now(UTC)
        expires_at = (now + self.wanted.lifetime).replace(microsecond=0)
        key, host_key = generate_key(), generate_key()
        config = cloud_config(
            login_key=key.public, host_key=host_key, now=now, expires_at=expires_at
        )
        request = InstanceRequest(
            name=self.worker.machine,
            run=self.wanted.run,
            stage=STAGE,
            offer=offer,
            expires_at=expires_at,
            user_data=user_data(config),
            public_key=key.public,
        )
        worker = replace(
            self.worker,
            provider=offer.provider,
            region=offer.zone or offer.region,
            instance_type=offer.instance_type,
            expires_at=expires_at,
        )
        row = _machine_row(request, quote, now)
        place = f"{offer.instance_type} in {worker.region}"
        instance: Instance | None = None
        try:
            worker_keys.save(self.state, worker)
            worker_keys.save_keys(self.state, worker, key=key, host_key=host_key.public)
            self.state.touch(self.wanted.run)
            self.ledger.intend_machine(row)
            self.say(f"{offer.provider}: asking for {place}")
            instance = provider.create_instance(request)
            self.ledger.machine_created(
                row.name,
                id=instance.id,
                region=instance.region,
                created_at=instance.created_at,
                at=datetime.now(UTC),
            )
            self.say(f"{offer.provider}: {place} is there; waiting until it answers")
            with self.signals.released():
                reached = reach(provider, instance, timeout=READY_TIMEOUT)
            self.ledger.machine_ready(row.name, host=reached.host, at=datetime.now(UTC))
            worker = replace(worker, host=reached.host, port=reached.port)
            worker_keys.save(self.state, worker)
            self.state.keep_until(self.wanted.run, expires_at)
            with self.signals.released():
                pass  # the last moment for one that came meanwhile
        except BaseException as error:
            if instance is not None:
                self.unmake(provider, instance, row)
            elif isinstance(error, MateriaError) and not isinstance(error, OrphanError):
                if isinstance(error, ProviderError) and error.made:
                    offer = row.offer if error.made == "machine" else addresses_of(row.offer)
                    self.paid(replace(row, offer=offer), said=None)
                else:
                    self.ledger.machine_failed(row.name, str(error))
            raise
        return worker

    def unmake(self, provider: Provider, instance: Instance, row: MachineRow) -> None:
        with suppress(LedgerError):  # a full disk must not cost money; `paid` tells of it
            self.ledger.machine_destroying(row.name, at=datetime.now(UTC))
        destroy(provider, instance)
        self.paid(row, said=instance.created_at)

    def paid(self, row: MachineRow, *, said: datetime | None) -> None:
        now = datetime.now(UTC)
        quote = bill(row, at=now, said=said)
        self.ledger.machine_gone(row.name, at=now, cost=quote.cost, lines=quote.lines)


def _run_row(wanted: Wanted, providers: tuple[str, ...]) -> RunRow:
    return RunRow(
        run=wanted.run,
        started_at=datetime.now(UTC),
        providers=providers,
        directory=str(wanted.directory),
        pid=os.getpid(),
        host=socket.gethostname(),
        version=version("materia-runner"),
    )


def _machine_row(request: InstanceRequest, quote: Quote, now: datetime) -> MachineRow:
    offer = request.offer
    return MachineRow(
        name=request.name,
        run=request.run,
        stages=(STAGE,),
        provider=offer.provider,
        region=offer.region,
        zone=offer.zone,
        instance_type=offer.instance_type,
        offer=offer,
        estimate=quote.cost,
        worst=worst_case(offer, quote.duration).cost,
        expires_at=request.expires_at,
        intended_at=now,
    )
