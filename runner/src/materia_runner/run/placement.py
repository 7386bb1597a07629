"""Run one placement: rent a machine, set its deadline, run its stages there, destroy it."""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from materia.compute import Instance, Offer
from materia.errors import MateriaError, OtherMachineError, StageError, WorkerLostError
from materia.protocols import Provider

from materia_runner.config.pipeline import Stage
from materia_runner.execution.local import run_worker
from materia_runner.ledger.rows import StageRow, StageState
from materia_runner.messages.events import Output
from materia_runner.planning.plan import Placement
from materia_runner.rental.rent import Access, Wanted, label_of, new_access
from materia_runner.run.context import RunContext
from materia_runner.run.ledger_copy import copy_ledger
from materia_runner.run.machine_facts import MachineFacts, expected, remember
from materia_runner.run.recorder import InstanceReports
from materia_runner.run.report import StageReport
from materia_runner.secrets.redaction import without_secrets
from materia_runner.signals import Interrupted, Interrupts
from materia_runner.ssh.library import require_asyncssh

if TYPE_CHECKING:
    from materia_runner.artifact.find import Artifact
    from materia_runner.execution.remote import RemoteWorker

LOGIN_TIMEOUT = timedelta(minutes=1)


class PlacementRun:
    """One attempt at a placement.

    Attributes:
        reports: Reports of the stages that are done.
        reached: Whether the machine could be reached; a later failure is not due to the offer.
    """

    def __init__(
        self, context: RunContext, placement: Placement, provider: Provider, *, number: int
    ) -> None:
        """Try *placement* on a machine of *provider*, the *number*th machine of the run."""
        self.reports: list[StageReport] = []
        self.reached = False
        self._running = context
        self._placement = placement
        self._provider = provider
        self._number = number
        self._begun = time.monotonic()
        self._expires_at = datetime.now(UTC) + placement.deadline
        self._artifacts: list[Artifact] | None = None
        self._partitions: dict[str, dict[str, frozenset[str] | None]] = {}

    @property
    def placement(self) -> Placement:
        """The placement that is tried."""
        return self._placement

    @property
    def offer(self) -> Offer:
        """The offer of the machine."""
        return self._placement.chosen.offer

    @property
    def _stages(self) -> tuple[str, ...]:
        return tuple(stage.label for stage in self._placement.stages)

    @property
    def _name(self) -> str:
        return instance_name(self._running.run, label_of(self._stages), self._number)

    def make_ready(self) -> None:
        """Do before the machine is rented what would cost paid time, or needs the main thread.

        Listing partitions redirects what a source prints, which is of the whole process.

        Raises:
            ArtifactError: an artifact cannot be built.
        """
        require_asyncssh()
        self._artifacts = artifacts_of(self._running, self._placement)
        self._partitions = {
            stage.label: self._running.partitions(stage) for stage in self._placement.stages
        }

    def go(self, *, owned: bool) -> None:
        """Rent, run, destroy; `make_ready` comes first when that was not called.

        Args:
            owned: Whether the stages run on this machine, without renting.

        Raises:
            CapacityError: the provider has no such machine now.
            ReadyTimeoutError: the machine never answered; it is gone.
            WorkerLostError: the outcome of the stage after the reported ones is unknown.
            MateriaError: a stage failed.
        """
        if owned:
            with (
                self._machine(None) as instance,
                self._running.signals.released(),
            ):
                for stage in self._placement.stages:
                    self._local_stage(stage, instance)
            return
        if self._artifacts is None:
            self.make_ready()
        artifacts = self._artifacts or []
        # The import takes a tenth of a second, which passes while the machine boots.
        threading.Thread(target=importlib.import_module, args=("asyncssh",), daemon=True).start()
        access = new_access(self._expires_at)
        with (
            self._machine(access) as instance,
            self._running.signals.released(),
            _worker(instance, access, self._running.signals) as worker,
        ):
            try:
                artifacts = self._prepare(worker, artifacts)
                for stage, artifact in zip(self._placement.stages, artifacts, strict=True):
                    worker.prepare(artifact)
                    self._remote_stage(stage, worker)
            finally:
                self._running.recorder.doing("destroy the machine")

    @contextmanager
    def _machine(self, access: Access | None) -> Iterator[Instance]:
        context, placement = self._running, self._placement
        wanted = Wanted(
            name=self._name,
            stages=self._stages,
            offer=self.offer,
            estimate=placement.chosen.cost,
            worst=placement.worst,
            expires_at=self._expires_at,
            access=access,
        )
        reports = InstanceReports(context.recorder, placement.stages[0].name)
        with context.renter.rent(self._provider, wanted, reports) as instance:
            self.reached = True
            yield instance

    def _prepare(self, worker: RemoteWorker, artifacts: list[Artifact]) -> list[Artifact]:
        """Start to copy the artifacts that fit the machine's Python and processor; return them.

        Raises:
            OtherMachineError: no artifact is built for this machine; to build it now would cost
                the machine's price.
            StageError: workers do not run on the machine's Python.
        """
        from materia_runner.artifact.target import PYTHONS

        found = MachineFacts(*worker.probe())
        if found.python not in PYTHONS:
            raise StageError(
                f"{self.offer.provider}: the machine has Python {found.python}, and workers need "
                f"{PYTHONS[0]} to {PYTHONS[-1]}; choose another image"
            )
        offer, context = self.offer, self._running
        settings = context.pipeline.settings["provider", offer.provider]
        remember(context.state, offer.provider, settings, offer.architecture, found)
        made = MachineFacts(artifacts[0].python, artifacts[0].architecture)
        if found != made:
            keys = [(stage.name, found) for stage in self._placement.stages]
            if not all(key in context.artifacts for key in keys):
                raise OtherMachineError(
                    f"{offer.provider}: {offer.instance_type} in {offer.region} has {found}, and "
                    f"the artifact was built for {made}"
                )
            artifacts = [context.artifacts[key] for key in keys]
        worker.prepare(artifacts[0])
        for artifact in artifacts[1:]:
            worker.bring(artifact)
        return artifacts

    def _local_stage(self, stage: Stage, instance: Instance) -> None:
        context = self._running
        context.recorder.doing("start the worker", stage=stage.name)
        with self._recorded(stage) as record:
            request = context.request(stage, workspace=Path(instance.directory), at_home=False)
            environment = without_secrets(context.environment, context.registry)
            record(
                run_worker(
                    instance, request, environment=environment, observe=context.recorder.observe
                )
            )

    def _remote_stage(self, stage: Stage, worker: RemoteWorker) -> None:
        context = self._running
        sink = context.home_sink()
        context.recorder.doing("start the worker", stage=stage.name)
        with self._recorded(stage) as record, TemporaryDirectory(prefix="materia-") as passing:
            record(
                worker.run(
                    context.request(stage, workspace=Path(passing), at_home=sink is not None),
                    sink=sink,
                    attempt=context.attempts[stage.label],
                    limit=stage.deadline,
                    observe=context.recorder.observe,
                    partitions=self._partitions[stage.label],
                )
            )

    @contextmanager
    def _recorded(self, stage: Stage) -> Iterator[Any]:
        """Record the start and end of a stage in the ledger, and write its log."""
        context, ledger = self._running, self._running.recorder.ledger
        attempt = context.attempts[stage.label] = context.attempts.get(stage.label, 0) + 1
        ledger.begin_stage(
            StageRow(
                run=context.run,
                stage=stage.label,
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
            with context.recorder.log_of(stage.label, attempt):
                try:
                    yield results.append
                except MateriaError as failure:
                    # Only for the log: the error itself is shown when the run has ended.
                    context.recorder.observe(stage.name, Output(text=str(failure)))
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
                context.run,
                stage.label,
                attempt,
                state=state,
                at=datetime.now(UTC),
                result=results[0] if results else None,
                error=None if error is None else context.recorder.clean(error),
            )
            copy_ledger(context)
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
def _worker(instance: Instance, access: Access, signals: Interrupts) -> Iterator[RemoteWorker]:
    from materia_runner.execution.remote import RemoteWorker
    from materia_runner.ssh.command import SshTarget

    if instance.host is None:
        raise AssertionError("a rented machine that answers has an address")
    target = SshTarget(
        host=instance.host,
        port=instance.port,
        key=access.login_key,
        host_key=access.host_key.public,
    )
    with RemoteWorker(target, timeout=LOGIN_TIMEOUT, check=signals.check) as worker:
        yield worker


def instance_name(run: str, stage: str, number: int = 1) -> str:
    """A unique instance name that every cloud accepts: `a-z`, `0-9` and `-`, at most 63."""
    end = f"-{number}" if number > 1 else ""
    return f"{f'materia-{run}-{stage}'.lower()[: 63 - len(end)]}{end}"


def artifacts_of(context: RunContext, placement: Placement) -> list[Artifact]:
    """Find or build the artifact of each stage of *placement*; extract has a small one.

    Never called while a machine is rented: a build can take a minute.

    Raises:
        ArtifactError: an artifact cannot be built.
    """
    offer = placement.chosen.offer
    settings = context.pipeline.settings["provider", offer.provider]
    facts = expected(context.state, offer.provider, settings, offer.architecture)

    def say(message: str) -> None:
        if message not in context.said:  # the small and the large artifact repeat it
            context.said.add(message)
            context.recorder.say(placement.stages[0].name, message)

    context.recorder.doing("build the worker artifact", stage=placement.stages[0].name)
    found = []
    for stage in placement.stages:
        key = (stage.name, facts)
        known = context.artifacts.get(key)
        if known is None or known.url is not None:  # a URL is valid for minutes only
            context.artifacts[key] = _artifact(context, stage, facts, say)
        found.append(context.artifacts[key])
    return found


def _artifact(
    context: RunContext, stage: Stage, facts: MachineFacts, say: Callable[[str], None]
) -> Artifact:
    """The artifact for *stage*: of the channel's release, or of what is installed here."""
    from materia_runner.artifact.find import artifacts_folder, find_or_build

    if context.pinned is not None:
        return context.pinned.artifact(
            stage.name,
            python=facts.python,
            architecture=facts.architecture,
            cache=artifacts_folder(os.environ),
            say=say,
        )
    return find_or_build(
        python=facts.python,
        architecture=facts.architecture,
        registry=context.registry,
        pipeline=context.pipeline,
        environment=context.environment,
        stages=[stage.name],
        say=say,
    )
