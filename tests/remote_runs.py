"""Stages on a worker that is reached over SSH: the small artifact, the folder source, one run.

Not among the fakes: all those go to the worker, and the password in here must not be found there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.machines import READY, Worker, boot
from fakes.small_artifact import small_artifact
from materia.protocols import Sink
from materia_runner.artifact.find import Artifact
from materia_runner.execution.remote import RemoteWorker
from materia_runner.messages.events import Event
from materia_runner.messages.stage_request import WorkerRequest
from materia_testing.emulation.ssh_machines.machine import Kind, SshMachines

MINUTE = timedelta(minutes=1)
LEASE = timedelta(seconds=3)


@pytest.fixture(scope="module")
def folder_artifact(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The small artifact for machines of that kind, with `artifact = folder_artifact`."""
    with SshMachines(kind=kind) as machines, remote(boot(machines)) as worker:
        python, architecture = worker.probe()
    return small_artifact(
        tmp_path_factory.mktemp("artifact"), python=python, architecture=architecture
    )


def remote(worker: Worker) -> RemoteWorker:
    return RemoteWorker(worker.login, timeout=READY, lease=LEASE)


def home(worker: Worker) -> Path:
    """The login user's home, as this machine sees it."""
    return worker.machine.folder / "home" / "materia"


@dataclass
class Run:
    """One stage on a worker, and what was heard of it."""

    worker: Worker
    folder: Path
    source: str = "folder"
    run: str = "20261124T085500-ab12cd"
    heard: list[Event] = field(default_factory=list)
    secrets: Mapping[str, str] = field(default_factory=dict)

    def write(self, **files: str) -> None:
        """Put files where the source on the worker looks for them."""
        there = home(self.worker) / "in"
        there.mkdir(exist_ok=True)
        there.chmod(0o777)  # the login user leaves marks there
        for month, text in files.items():
            (there / f"2026-{month[1:]}.csv").write_text(text)

    def write_there(self, **files: str) -> None:
        """As `write`, for a machine with a disk that is not seen from here."""
        for month, text in files.items():
            path = self.folder / "large"
            path.write_text(text)
            sha256 = hashlib.sha256(text.encode()).hexdigest()
            with self.worker.session() as session:
                session.upload(path, f"in/2026-{month[1:]}.csv", sha256=sha256)
            path.unlink()

    def request(self) -> WorkerRequest:
        return WorkerRequest(
            run=self.run,
            stage="extract",
            pipeline=self.source,
            sources=(self.source,),
            sink="folder",
            settings={
                "source": {self.source: {"folder": "../../../in"}},
                "sink": {"folder": {"folder": "nowhere"}},
            },
            secrets={
                "source": {self.source: self.secrets},
                "sink": {"folder": {"PASSWORD": "swordfish"}},
            },
            directory=self.folder,
            workspace=self.folder,
        )

    def extract(
        self,
        remote: RemoteWorker,
        sink: Sink | None,
        *,
        attempt: int = 1,
        limit: timedelta = MINUTE,
        act: Callable[[Event], None] = lambda _: None,
    ) -> Mapping[str, object]:
        def observe(stage: str, event: Event) -> None:
            assert stage == "extract"
            self.heard.append(event)
            act(event)

        return remote.run(self.request(), sink=sink, attempt=attempt, limit=limit, observe=observe)


def kept(sink: Sink) -> dict[str, str]:
    """What the sink has in use, by partition."""
    found = {}
    for key, known in sink.known("folder").items():
        if known.raw is not None:
            raw = known.raw
            path = sink.find_raw("folder", raw.partition, raw.file, raw.sha256)
            assert path is not None
            found[key] = path.read_text()
    return found
