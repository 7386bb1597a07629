"""One leg of a plan: a machine of the chosen offer, its stages on it, and nothing left of it."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from materia.compute import Instance, InstanceRequest, Offer
from materia.errors import MateriaError, OtherMachineError, StageError, WorkerLostError
from materia.protocols import Provider
from materia_providers.clock import check_clock

from materia_runner.artifact.machine_facts import MachineFacts, expected, remember
from materia_runner.config.pipeline import Stage
from materia_runner.execution.local import run_worker
from materia_runner.ledger.rows import MachineRow, StageRow, StageState
from materia_runner.messages.events import Output
from materia_runner.planning.plan import Leg
from materia_runner.rental.cost_meter import refuse_over_month
from materia_runner.rental.lifecycle import ephemeral_instance
from materia_runner.run.context import Running
from materia_runner.run.recorder import MachineLife
from materia_runner.run.report import StageReport
from materia_runner.secrets.redaction import without_secrets
from materia_runner.signals import Interrupted
from materia_runner.ssh.library import require_asyncssh

if TYPE_CHECKING:
    from materia_providers.cloud_init import KeyPair

    from materia_runner.artifact.find import Artifact
    from materia_runner.execution.remote import RemoteWorker

LOGIN_TIMEOUT = timedelta(minutes=1)


class LegRun:
    """One try at a leg.

    Attributes:
        reports: Of the stages that are done.
        reached: Whether the machine could be reached: what fails later is no fault of the offer.
    """

    def __init__(self, running: Running, leg: Leg, provider: Provider, *, number: int) -> None:
        """Try *leg* on a machine of *provider*, the *number*th machine of the run."""
        self.reports: list[StageReport] = []
        self.reached = False
        self._running = running
        self._leg = leg
        self._provider = provider
        self._number = number
        self._begun = time.monotonic()
        self._expires_at = datetime.now(UTC) + leg.deadline

    @property
    def offer(self) -> Offer:
        """What the machine is rented by."""
        return self._leg.chosen.offer

    @property
    def _stages(self) -> str:
        """As labels and names of instances have them."""
        return "-".join(stage.name for stage in self._leg.stages)

    @property
    def _name(self) -> str:
        return instance_name(self._running.run, self._stages, self._number)

    def go(self, *, owned: bool) -> None:
        """Rent, run, destroy.

        Args:
            owned: Whether the machine is already there, and is this one.

        Raises:
            CapacityError: the offer cannot be had.
            ReadyTimeoutError: the machine never answered; it is gone.
            WorkerLostError: nobody knows how the stage after the reported ones ended.
            MateriaError: a stage failed.
        """
        if owned:
            with (
                self._machine(user_data="", public_key="") as instance,
                self._running.signals.released(),
            ):
                for stage in self._leg.stages:
                    self._local_stage(stage, instance)
            return
        from materia_providers.cloud_init import cloud_config, generate_key, user_data

        require_asyncssh()
        artifacts = artifacts_of(self._running, self._leg)
        # Takes a tenth of a second, which nobody waits for while the machine boots.
        threading.Thread(target=importlib.import_module, args=("asyncssh",), daemon=True).start()
        login_key, host_key = generate_key(), generate_key()
        config = cloud_config(
            login_key=login_key.public,
            host_key=host_key,
            now=datetime.now(UTC),
            expires_at=self._expires_at,
        )
        with (
            self._machine(user_data=user_data(config), public_key=login_key.public) as instance,
            self._running.signals.released(),
            _worker(instance, login_key, host_key) as worker,
        ):
            artifacts = self._prepare(worker, artifacts)
            for stage, artifact in zip(self._leg.stages, artifacts, strict=True):
                worker.prepare(artifact)
                self._remote_stage(stage, worker)

    @contextmanager
    def _machine(self, *, user_data: str, public_key: str) -> Iterator[Instance]:
        running, leg, offer = self._running, self._leg, self.offer
        first = leg.stages[0].name
        check_clock(self._provider, offer.provider)
        row = MachineRow(
            name=self._name,
            run=running.run,
            stages=tuple(stage.name for stage in leg.stages),
            provider=offer.provider,
            region=offer.region,
            zone=offer.zone,
            instance_type=offer.instance_type,
            offer=offer,
            estimate=leg.chosen.cost,
            worst=leg.worst,
            expires_at=self._expires_at,
            intended_at=datetime.now(UTC),
        )
        request = InstanceRequest(
            name=row.name,
            run=running.run,
            stage=self._stages,
            offer=offer,
            expires_at=row.expires_at,
            user_data=user_data,
            public_key=public_key,
        )
        life = MachineLife(
            journal=running.journal,
            spending=running.spending,
            row=row,
            stage=first,
            affordable=lambda: refuse_over_month(
                running.pipeline.budget,
                running.journal.ledger,
                running.pipeline.exchange,
                worst=leg.worst,
                now=datetime.now(UTC),
            ),
        )
        running.state.touch(running.run)
        with ephemeral_instance(self._provider, request, running.signals, life) as instance:
            self.reached = True
            yield instance

    def _prepare(self, worker: RemoteWorker, artifacts: list[Artifact]) -> list[Artifact]:
        """Begin to bring what the stages need, and return it, for the Python that is there.

        Raises:
            OtherMachineError: nothing is made for that; it would take its time, at the machine's
                price.
            StageError: nothing can be.
        """
        from materia_runner.artifact.target import PYTHONS

        found = MachineFacts(*worker.probe())
        if found.python not in PYTHONS:
            raise StageError(
                f"{self.offer.provider}: the machine has Python {found.python}, and a worker runs "
                f"{PYTHONS[0]} to {PYTHONS[-1]}; choose another image"
            )
        offer, running = self.offer, self._running
        settings = running.pipeline.settings["provider", offer.provider]
        remember(running.state, offer.provider, settings, offer.architecture, found)
        made = MachineFacts(artifacts[0].python, artifacts[0].architecture)
        if found != made:
            keys = [(stage.name, found) for stage in self._leg.stages]
            if not all(key in running.artifacts for key in keys):
                raise OtherMachineError(
                    f"{offer.provider}: {offer.instance_type} in {offer.region} has {found}, and "
                    f"what it would run was made for {made}"
                )
            artifacts = [running.artifacts[key] for key in keys]
        worker.prepare(artifacts[0])
        for artifact in artifacts[1:]:
            worker.bring(artifact)
        return artifacts

    def _local_stage(self, stage: Stage, instance: Instance) -> None:
        running = self._running
        with self._recorded(stage) as record:
            request = running.request(stage, workspace=Path(instance.directory), at_home=False)
            environment = without_secrets(running.environment, running.registry)
            record(
                run_worker(
                    instance, request, environment=environment, observe=running.journal.observe
                )
            )

    def _remote_stage(self, stage: Stage, worker: RemoteWorker) -> None:
        running = self._running
        sink = running.home_sink()
        with self._recorded(stage) as record, TemporaryDirectory(prefix="materia-") as passing:
            record(
                worker.run(
                    running.request(stage, workspace=Path(passing), at_home=sink is not None),
                    sink=sink,
                    attempt=running.attempts[stage.name],
                    limit=stage.deadline,
                    observe=running.journal.observe,
                    partitions=running.partitions(stage),
                )
            )

    @contextmanager
    def _recorded(self, stage: Stage) -> Iterator[Any]:
        """Write down that a stage begins and how it ends, and log what it says."""
        running, ledger = self._running, self._running.journal.ledger
        attempt = running.attempts[stage.name] = running.attempts.get(stage.name, 0) + 1
        ledger.begin_stage(
            StageRow(
                run=running.run,
                stage=stage.name,
                attempt=attempt,
                machine=self._name,
                provider=self.offer.provider,
                started_at=datetime.now(UTC),
                expected=stage.requirements.expected,
            )
        )
        results: list[Mapping[str, object]] = []
        state: StageState = "failed"
        error = None
        try:
            with running.journal.log_of(stage.name, attempt):
                try:
                    yield results.append
                except MateriaError as failure:
                    # For the log alone: the error itself is shown when the run has ended.
                    running.journal.observe(stage.name, Output(text=str(failure)))
                    raise
            state = "ok"
        except Interrupted as interrupted:
            state, error = "interrupted", str(interrupted)
            raise
        except WorkerLostError as lost:
            state, error = "lost", str(lost)
            raise
        except Exception as failure:
            error = str(failure) or type(failure).__name__
            raise
        finally:
            ledger.end_stage(
                running.run,
                stage.name,
                attempt,
                state=state,
                at=datetime.now(UTC),
                result=results[0] if results else None,
                error=None if error is None else running.journal.clean(error),
            )
        self.reports.append(
            StageReport(
                stage=stage.name,
                provider=self.offer.provider,
                seconds=round(time.monotonic() - self._begun, 3),
                result=results[0],
            )
        )
        self._begun = time.monotonic()


@contextmanager
def _worker(instance: Instance, login_key: KeyPair, host_key: KeyPair) -> Iterator[RemoteWorker]:
    from materia_runner.execution.remote import RemoteWorker
    from materia_runner.ssh.command import Login

    if instance.host is None:
        raise AssertionError("a rented machine that answers has an address")
    login = Login(host=instance.host, port=instance.port, key=login_key, host_key=host_key.public)
    with RemoteWorker(login, timeout=LOGIN_TIMEOUT) as worker:
        yield worker


def instance_name(run: str, stage: str, number: int = 1) -> str:
    """A name that every cloud takes, `a-z`, `0-9` and `-`, at most 63; each machine has its own."""
    end = f"-{number}" if number > 1 else ""
    return f"{f'materia-{run}-{stage}'.lower()[: 63 - len(end)]}{end}"


def artifacts_of(running: Running, leg: Leg) -> list[Artifact]:
    """What the stages of *leg* run, one for each: fetching begins with a small one at once.

    Never called while a machine is rented: putting one together can take a minute.

    Raises:
        ArtifactError: one cannot be put together.
    """
    from materia_runner.artifact.find import find_or_build

    offer = leg.chosen.offer
    settings = running.pipeline.settings["provider", offer.provider]
    facts = expected(running.state, offer.provider, settings, offer.architecture)

    def say(message: str) -> None:
        if message not in running.said:  # of the small one and of the large one
            running.said.add(message)
            running.journal.say(leg.stages[0].name, message)

    found = []
    for stage in leg.stages:
        key = (stage.name, facts)
        known = running.artifacts.get(key)
        if known is None or known.url is not None:  # an address is valid for minutes only
            running.artifacts[key] = find_or_build(
                python=facts.python,
                architecture=facts.architecture,
                registry=running.registry,
                pipeline=running.pipeline,
                environment=running.environment,
                stages=[stage.name],
                say=say,
            )
        found.append(running.artifacts[key])
    return found
