"""Context of a run: what its placements share, and the request to a worker."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from materia.data import PartitionsRequest
from materia.errors import MateriaError
from materia.plugins import InstalledPlugin, Registry, take_secrets
from materia.protocols import Provider, Sink, Source

from materia_runner.config.pipeline import Pipeline, Stage
from materia_runner.figures import moment_text
from materia_runner.ledger.state import State
from materia_runner.messages.events import Output
from materia_runner.messages.stage_request import WorkerRequest
from materia_runner.opening import open_plugin
from materia_runner.rental.cost_meter import CostMeter
from materia_runner.rental.rent import Renter
from materia_runner.run.machine_facts import MachineFacts
from materia_runner.run.recorder import Recorder
from materia_runner.signals import Interrupts, ThreadInterrupts

if TYPE_CHECKING:
    from materia_runner.artifact.channel.pinned import PinnedRelease
    from materia_runner.artifact.channel.release import Release
    from materia_runner.artifact.find import Artifact
    from materia_runner.schedule.lease import LeaseKeeper
    from materia_runner.schedule.ledger_copies import LedgerCopies


# A worker's clock may be ahead of this one, so a new month may begin there first.
CLOCKS = timedelta(days=2)


@dataclass(slots=True, kw_only=True)
class RunContext:
    """A run that is in progress.

    Attributes:
        run: ID of the run.
        pipeline: The pipeline to run.
        registry: The plugins.
        environment: Variables that have the secrets.
        everything: Whether the source is asked for every partition again.
        bundled_only: Whether third-party plugins are left out.
        state: The state folder.
        recorder: Records and shows events.
        cost_meter: Cost of the run's machines.
        signals: Signals, held back while a machine is created or destroyed.
        attempts: Number of attempts at each stage, by its label.
        artifacts: Artifacts built for this run, by stage and machine facts.
        copies: Copies of the ledger in the bucket, if there is one; see `ledger_copy`.
        lease: The lease of the pipeline, once the run has asked for it; see `lease.hold_lease`.
        pinned: The release that its workers run, when the pipeline has a channel; see `pin`.
        said: Messages that are shown once in a run, and were.
    """

    run: str
    pipeline: Pipeline
    registry: Registry
    environment: Mapping[str, str]
    everything: bool
    bundled_only: bool
    state: State
    recorder: Recorder
    cost_meter: CostMeter
    signals: Interrupts
    attempts: dict[str, int] = field(default_factory=dict)
    artifacts: dict[tuple[str, MachineFacts], Artifact] = field(default_factory=dict)
    pinned: PinnedRelease | None = None
    lease: LeaseKeeper | None = None
    copies: LedgerCopies | None = None
    said: set[str] = field(default_factory=set)
    _home_sink: Sink | None = None

    def of_worker(self, stage: Stage, signals: ThreadInterrupts, sink: Sink | None) -> RunContext:
        """The context of a worker of *stage* beside others, for a thread of its own.

        Args:
            stage: The stage; what the worker records and shows has its label.
            signals: The interrupts of the thread.
            sink: The sink of `home_sink`, shared among the workers.
        """
        return replace(
            self,
            recorder=self.recorder.of_worker(stage.name, stage.label),
            signals=signals,
            _home_sink=sink,
        )

    def open_provider(self, name: str) -> Provider:
        """Open a provider for one thread: the clients of some services are not for several."""
        provider: Provider = self._open(self.registry.provider(name))
        return provider

    @property
    def renter(self) -> Renter:
        """The renter of the run's instances."""
        return Renter(
            run=self.run,
            state=self.state,
            ledger=self.recorder.ledger,
            cost_meter=self.cost_meter,
            budget=self.pipeline.budget,
            exchange=self.pipeline.exchange,
            signals=self.signals,
            secure=self._secure_intent,
        )

    def _secure_intent(self) -> None:
        """Write an intent to the bucket before its machine is created.

        Raises:
            ArtifactError: the bucket cannot be written. No machine may be created then: a new
                supervisor would not know of it.
        """
        if self.copies is not None:
            self.copies.push(self.run, alive=True)

    @property
    def sources(self) -> dict[str, InstalledPlugin[Source]]:
        """The plugins of the sources, by name."""
        return {name: self.registry.source(name) for name in self.pipeline.sources}

    @property
    def sink(self) -> InstalledPlugin[Sink]:
        """The sink's plugin."""
        return self.registry.sink(self.pipeline.sink)

    def pin(self) -> None:
        """Read the channel once, before anything is rented: a later push changes nothing here.

        Raises:
            ArtifactError: the channel has no release that this machine can run.
        """
        if self.pinned is not None or self.pipeline.artifacts is None:
            return
        from materia_runner.artifact.channel.pinned import pin

        self.pinned = pin(self.pipeline, self.registry, self.environment)
        if self.pinned is not None:
            release = self.pinned.release
            self.recorder.say(
                self.pipeline.stages[0].name,
                f"workers run the release {release.id} of {self.pinned.where}, pushed "
                f"{moment_text(release.pushed_at)}",
            )
            self._warn_of_older_command_line(release)

    def _warn_of_older_command_line(self, release: Release) -> None:
        """On a supervisor, say when its own command line is not that of *release*."""
        from materia_runner.schedule.update import is_behind

        if is_behind(release, os.environ):
            name = self.pipeline.name
            self.recorder.say(
                self.pipeline.stages[0].name,
                f"this supervisor has not taken over the release {release.id}, and starts this run "
                f"with the one before: `journalctl -u materia-{name}-update` says why",
                warning=True,
            )

    def home_sink(self) -> Sink | None:
        """The sink, opened here once for the run; None when workers open it themselves."""
        if self.sink.plugin.on_worker:
            return None
        if self._home_sink is None:
            self._home_sink = self._open(self.sink)
        return self._home_sink

    def check_plugins(self) -> None:
        """Open the sources and the sink here, so that one which cannot be used costs nothing.

        Raises:
            PluginError: one of them lacks a method, or takes other arguments.
        """
        for stage in self.pipeline.stages[:1]:
            with self._heard(stage):
                for found in self.sources.values():
                    self._open(found)
                if self.home_sink() is None:
                    self._open(self.sink)

    def hold_sink(self) -> None:
        """Lock a sink that stays here, until the run has ended or published.

        Raises:
            BusyError: another process holds the lock.
        """
        if (sink := self.home_sink()) is not None:
            sink.checkout()

    def request(self, stage: Stage, *, workspace: Path, at_home: bool) -> WorkerRequest:
        """The request to a stage's worker, with the secrets of its sources and sink only.

        Args:
            stage: The stage.
            workspace: An existing folder for its temporary files.
            at_home: Whether the sink stays here, and its secrets with it.
        """
        pipeline = self.pipeline
        return WorkerRequest(
            run=self.run,
            stage=stage.name,
            pipeline=pipeline.name,
            sources=pipeline.sources,
            sink=pipeline.sink,
            settings={
                "source": {name: pipeline.settings["source", name] for name in self.sources},
                "sink": {pipeline.sink: pipeline.settings["sink", pipeline.sink]},
            },
            secrets={
                "source": {
                    name: take_secrets(found, self.environment)
                    for name, found in self.sources.items()
                },
                "sink": {
                    pipeline.sink: {} if at_home else take_secrets(self.sink, self.environment)
                },
            },
            directory=pipeline.directory.absolute(),
            workspace=workspace,
            project=pipeline.project and pipeline.project.absolute(),
            sample=pipeline.sample,
            everything=self.everything,
            only=stage.sources or pipeline.only,
            drop=pipeline.drop,
            bundled_only=self.bundled_only,
        )

    def refuse_removed(self) -> None:
        """Refuse to rent for a run that would remove the tables of a source unasked.

        Raises:
            ConfigError: a published source is no longer listed, and not dropped either.
        """
        if not any(stage.name == "transform" for stage in self.pipeline.stages):
            return
        from materia_runner.worker.transform import refuse_to_remove

        sink = self.home_sink() or self._open(self.sink)
        stage = self.pipeline.stages[-1]
        refuse_to_remove(sink, self.request(stage, workspace=Path(), at_home=True))

    def needs_no_machine(self, stage: Stage) -> Mapping[str, object] | None:
        """The result of a stage that is up to date, without a machine; None when it must run.

        Raises:
            MateriaError: the stage would raise it, too.
        """
        if stage.name != "transform":
            return None
        from materia_runner.worker.transform import up_to_date

        self.pin()
        with self._heard(stage):
            sources = {name: self._open(found) for name, found in self.sources.items()}
        return up_to_date(
            sources,
            self.home_sink() or self._open(self.sink),
            self.request(stage, workspace=Path(), at_home=True),
            versions={name: found.version for name, found in self.sources.items()},
            models=None if self.pinned is None else self.pinned.release.models,
        )

    def partitions(self, stage: Stage) -> dict[str, frozenset[str] | None]:
        """Keys of all partitions that an extract may record: those of each source and the sink.

        They are by the name of the source in the sink. Any other key from a worker is refused. None
        for a source that cannot list them here; empty when nothing is recorded here.
        """
        sink = self.home_sink()
        if stage.name != "extract" or sink is None:
            return {}
        request = self.request(stage, workspace=Path(), at_home=True)
        now = datetime.now(UTC) + CLOCKS
        keys: dict[str, frozenset[str] | None] = {}
        for name in request.fetched:
            found = self.sources[name]
            more = (found.plugin.sample or {}) if request.sample else {}
            kept_as = request.kept_as(name)
            known = sink.known(kept_as)
            asking = PartitionsRequest(known=known, now=now, everything=True)
            try:
                with self._heard(stage):
                    listed = self._open(found, **more).partitions(asking)
            except MateriaError:
                keys[kept_as] = None
                continue
            keys[kept_as] = frozenset({one.key for one in listed} | set(known))
        return keys

    @contextmanager
    def _heard(self, stage: Stage) -> Iterator[None]:
        """Write a plugin's output to the log of its stage, with secrets redacted."""
        printed = io.StringIO()
        try:
            with redirect_stdout(printed), redirect_stderr(printed):
                yield
        finally:
            if text := printed.getvalue():
                self.recorder.observe(stage.name, Output(text=text))

    def _open(self, found: InstalledPlugin[Any], **settings: object) -> Any:
        return open_plugin(
            found,
            self.environment,
            settings={**self.pipeline.settings[found.kind, found.plugin.name], **settings},
            directory=self.pipeline.directory,
        )
