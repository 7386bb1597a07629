"""One leg of a plan: a machine of the chosen offer, its stages on it, and nothing left of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from materia.errors import MateriaError, WorkerLostError
from materia.events import Log
from materia.journal import MachineLife
from materia.launch import run_worker
from materia.ledger_rows import MachineRow, StageRow, StageState
from materia.lifecycle import ephemeral_instance
from materia.machines import Architecture, Instance, InstanceRequest, Offer
from materia.model import StageReport
from materia.pipeline import Stage
from materia.plan import Leg
from materia.protocols import Provider
from materia.running import Running
from materia.secrets import without_secrets
from materia.signals import Interrupted
from materia.spending import refuse_over_month
from materia.state import State

if TYPE_CHECKING:
    from materia.artifact import Artifact
    from materia.bootstrap import KeyPair
    from materia.remote import RemoteWorker

LOGIN_TIMEOUT = timedelta(minutes=1)
# What the images have that the providers boot without being told otherwise: Debian 12.
USUAL_PYTHON = "3.11"


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
        from materia.bootstrap import cloud_config, generate_key, user_data

        artifacts = artifacts_of(self._running, self._leg)
        # Takes a tenth of a second, which nobody waits for while the machine boots.
        threading.Thread(target=_import_ssh, daemon=True).start()
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
        with ephemeral_instance(self._provider, request, running.signals, life) as instance:
            self.reached = True
            yield instance

    def _prepare(self, worker: RemoteWorker, artifacts: list[Artifact]) -> list[Artifact]:
        """Begin to bring what the stages need, and return it, for the Python that is there."""
        python, architecture = worker.probe()
        if (python, architecture) != (artifacts[0].python, artifacts[0].architecture):
            message = f"the machine has Python {python} on {architecture}"
            self._running.journal.say(self._leg.stages[0].name, message)
            artifacts = artifacts_of(self._running, self._leg, python, architecture)
        _remember_python(self._running.state, self.offer.provider, python)
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
                    running.journal.observe(stage.name, Log(level="info", message=str(failure)))
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
    from materia.remote import RemoteWorker
    from materia.script import Login

    if instance.host is None:
        raise AssertionError("a rented machine that answers has an address")
    login = Login(host=instance.host, port=instance.port, key=login_key, host_key=host_key.public)
    with RemoteWorker(login, timeout=LOGIN_TIMEOUT) as worker:
        yield worker


def _import_ssh() -> None:
    with suppress(ImportError):  # it is told where it is needed
        import asyncssh  # noqa: F401 -- for those who import it later


def instance_name(run: str, stage: str, number: int = 1) -> str:
    """A name that every cloud takes, `a-z`, `0-9` and `-`, at most 63; each machine has its own."""
    end = f"-{number}" if number > 1 else ""
    return f"{f'materia-{run}-{stage}'.lower()[: 63 - len(end)]}{end}"


def artifacts_of(
    running: Running,
    leg: Leg,
    python: str | None = None,
    architecture: Architecture | None = None,
) -> list[Artifact]:
    """What the stages of *leg* run, one for each: fetching begins with a small one at once.

    Args:
        running: The run.
        leg: What they are for.
        python: That its machine has; what the provider's had last time when it is not yet known.
        architecture: That its machine has; that of the offer when it is not yet known.

    Raises:
        ArtifactError: one cannot be put together.
    """
    from materia.artifact import find_or_build

    offer = leg.chosen.offer
    python = python or _remembered_python(running.state, offer.provider)
    architecture = architecture or offer.architecture
    found = []
    for stage in leg.stages:
        key = (stage.name, python, architecture)
        known = running.artifacts.get(key)
        if known is None or known.url is not None:  # an address is valid for minutes only
            running.artifacts[key] = find_or_build(
                python=python,
                architecture=architecture,
                registry=running.registry,
                pipeline=running.pipeline,
                environment=running.environment,
                stages=[stage.name],
                say=partial(running.journal.say, leg.stages[0].name),
            )
        found.append(running.artifacts[key])
    return found


def _remembered_python(state: State, provider: str) -> str:
    """What the provider's machines had last time: the artifact is built before one is rented."""
    try:
        known = json.loads((state.folder / "pythons.json").read_text(encoding="utf-8"))
        return str(known[provider])
    except (OSError, ValueError, KeyError, TypeError):
        return USUAL_PYTHON


def _remember_python(state: State, provider: str, python: str) -> None:
    path = state.folder / "pythons.json"
    known: dict[str, str] = {}
    with suppress(OSError, ValueError):
        known = dict(json.loads(path.read_text(encoding="utf-8")))
    if known.get(provider) == python:
        return
    temporary = path.with_suffix(".part")
    with suppress(OSError):  # only saves time
        temporary.write_text(json.dumps({**known, provider: python}), encoding="utf-8")
        temporary.replace(path)
