"""Remote worker: probe a rented machine over SSH, send the artifact and run a stage there.

~/.materia/artifacts/<sha256>/         the artifact, unpacked
~/.materia/raw/<sha256>                raw files that the sink at home has too
~/.materia/stages/<run>-<stage>-1/     working folder of a stage
~/.materia/<run>-<stage>-1/            folder of the agent, while the stage runs
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self

from materia.compute import Architecture
from materia.errors import StageError, WorkerLostError
from materia.forms import Form, Range
from materia.protocols import Sink
from materia.text import duration_text

from materia_runner import codec
from materia_runner.codec import MalformedError
from materia_runner.execution.local import failure
from materia_runner.execution.sink_server import SinkServer
from materia_runner.messages import events, stage_results
from materia_runner.messages import sink_messages as relay_messages
from materia_runner.messages import stage_request as worker_request
from materia_runner.messages.events import Failed, Observe, Output, Result
from materia_runner.messages.sink_messages import AtHome
from materia_runner.messages.stage_request import WorkerRequest
from materia_runner.secrets.redaction import redact
from materia_runner.signals import Check, unchecked
from materia_runner.ssh.command import RemoteCommand, SshTarget
from materia_runner.ssh.session import Session

if TYPE_CHECKING:
    from materia_runner.artifact.find import Artifact

OLDEST_PYTHON = (3, 11)
PROCESSORS: Mapping[str, Architecture] = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
ARTIFACTS = ".materia/artifacts"
LEASE = timedelta(seconds=60)
HOME = Form("a home folder", re.compile(r"/[\w./-]*"))
LONGEST_WORD = 2000  # characters of an output line in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Facts that a worker reports about itself.

    Attributes:
        home: Home folder of the login user.
        python: Major and minor version of its Python.
        machine: Its processor, as uname reports it.
    """

    home: Annotated[str, HOME]
    python: tuple[Annotated[int, Range(0, 99)], Annotated[int, Range(0, 99)]]
    machine: Annotated[str, Form("a processor", re.compile(r"[\w.-]+"))]


class RemoteWorker:
    """An SSH connection to a rented machine; a context manager that closes it at the end."""

    def __init__(
        self,
        target: SshTarget,
        *,
        timeout: timedelta,
        lease: timedelta = LEASE,
        check: Check = unchecked,
    ) -> None:
        """Connect, with retries until *timeout*.

        When the two sides have not heard from each other for *lease*, the worker ends the stage and
        the runner gives it up. *check* is for a thread that gets no signals, see `Session`.

        Raises:
            HostKeyError: a server with another host key still answers at the timeout.
            ReadyTimeoutError: no login succeeded within *timeout*.
        """
        self._target = target
        self._lease = lease
        self._session = Session(target, timeout=timeout, check=check)
        self._facts: Facts | None = None
        self._artifact: str | None = None
        self._coming: dict[str, Future[Mapping[str, Any]]] = {}

    def probe(self) -> tuple[str, Architecture]:
        """Probe the machine: its Python version, such as `3.11`, and its processor.

        Raises:
            StageError: it has no python3, a python3 that is too old, or an unsupported processor.
            WorkerLostError: it is out of reach.
        """
        if self._facts is None:
            self._session.expect_script()
            self._facts = self._read(self._session.look())
        return self._judged(self._facts)

    def bring(self, artifact: Artifact) -> None:
        """Start to transfer an artifact while a stage runs from another one.

        The worker downloads the artifact from its URL; without one, or when that fails, the runner
        sends it. `prepare` waits for the transfer and raises its errors.
        """
        if artifact.sha256 not in self._coming:
            self._coming[artifact.sha256] = self._session.bring_meanwhile(
                artifact.path, artifact.url, _place(artifact), sha256=artifact.sha256
            )

    def prepare(self, artifact: Artifact) -> None:
        """Transfer the artifact as `bring` does, check its hash and unpack it.

        Nothing of it runs before its hash is right. A second call costs one round trip.

        Raises:
            StageError: it is for another Python or processor, arrived damaged, or the disk is full.
            WorkerLostError: the worker is out of reach.
            OSError: the artifact cannot be read here.
        """
        if self._facts is not None:
            self._refuse_other(artifact)
        coming = self._coming.pop(artifact.sha256, None)
        self._facts = self._read(
            self._session.bring(
                artifact.path, artifact.url, _place(artifact), sha256=artifact.sha256
            )
            if coming is None
            else self._session.result_of(coming)
        )
        self._refuse_other(artifact)
        self._artifact = f"{self._facts.home}/{_place(artifact)}"

    def run(
        self,
        request: WorkerRequest,
        *,
        sink: Sink | None,
        attempt: int,
        limit: timedelta,
        observe: Observe,
        partitions: Mapping[str, Collection[str] | None] | None = None,
    ) -> Mapping[str, object]:
        """Run one stage there and return its result.

        Args:
            request: The stage; its `workspace` is an existing folder here, for files in transit.
            sink: The opened sink, when it stays here; None when the worker opens it. One object
                may serve all stages and attempts of a run, so that another attempt keeps the lock
                of its `checkout`.
            attempt: Number of the attempt; 1 for the first.
            limit: Deadline of the stage: the worker ends a stage that takes longer.
            observe: Callback for events, called in the caller's thread, with secrets redacted.
            partitions: Keys of each source's partitions, by its name in the sink: the worker may
                record no others. None for a source whose partitions the runner cannot list.

        Raises:
            StageError: the stage failed by itself, or ran out of memory, disk or time.
            WorkerLostError: the worker is out of reach; it is unknown whether the stage succeeded.
            MateriaError: an error of the class that the stage, or the sink here, raised.
        """
        if self._facts is None or self._artifact is None:
            raise RuntimeError("a stage needs the artifact: call prepare first")
        identity = command_id(request.run, request.stage, attempt)
        home = Path(self._facts.home)
        stage = home / ".materia" / "stages" / identity
        there = replace(
            request,
            directory=stage,
            workspace=stage / "work",
            project=None if request.project is None else Path(self._artifact) / "project",
        )
        command = RemoteCommand(
            id=identity,
            # -S: ignore Python packages that the image has installed.
            argv=("python3", "-SP", "-m", "materia_runner.worker.stage_process"),
            directory=str(stage),
            # The machine is destroyed before it could reuse the bytecode.
            environment={"PYTHONPATH": f"{self._artifact}/lib", "PYTHONDONTWRITEBYTECODE": "1"},
            limit=limit,
            lease=self._lease,
        )
        if sink is None:
            return self._follow(command, there, None, observe)
        kept = home / ".materia" / "raw"
        there = replace(
            there,
            # The settings and secrets of a sink that stays here do not travel.
            settings={**request.settings, "sink": {}},
            secrets={**request.secrets, "sink": {}},
            at_home=AtHome(
                known={name: dict(sink.known(name)) for name in request.known_as}, kept=kept
            ),
        )
        with tempfile.TemporaryDirectory(prefix="relay-", dir=request.workspace) as folder:
            server = SinkServer(
                self._session,
                sink,
                request=there,
                partitions=partitions or {},
                folder=Path(folder),
                stage=stage,
                kept=kept,
            )
            return self._follow(command, there, server, observe, also=request.hidden)

    def _follow(
        self,
        command: RemoteCommand,
        request: WorkerRequest,
        server: SinkServer | None,
        observe: Observe,
        *,
        also: tuple[str, ...] = (),
    ) -> Mapping[str, object]:
        secrets = [*request.hidden, *also]
        end: Result | Failed | None = None

        def heard(line: str) -> None:
            nonlocal end
            with self._understood():
                if server is not None and (message := relay_messages.decode(line)):
                    server.obey(*message)
                    return
                if not events.is_said(line):  # output of Python before materia's code ran
                    erred(line)
                    return
                event = events.decode(line, secrets)
            if isinstance(event, Result | Failed):
                end = event
            observe(request.stage, event)

        def erred(line: str) -> None:
            observe(request.stage, Output(text=redact(line, secrets)))

        command = replace(command, input=worker_request.encode(request) + "\n")
        ended = self._session.run_command(command, heard, erred)
        if ended.reason == "limit":
            raise StageError(
                f"{request.stage}: timed out: the worker ended it at its deadline of "
                f"{duration_text(command.limit)}; set a longer one in materia.toml, "
                "or check in the log what it waited for"
            )
        if ended.ok and isinstance(end, Result):
            with self._understood():
                return _result(request, end, server)
        last = [redact(line, secrets)[:LONGEST_WORD] for line in ended.last_words]
        raise failure(request, end, ended.status, last)

    def _refuse_other(self, artifact: Artifact) -> None:
        found = self.probe()
        wanted = (artifact.python, artifact.architecture)
        if found != wanted:
            raise StageError(
                f"{self._target.host}: has Python {found[0]} on {found[1]}, and the artifact is "
                f"for {wanted[0]} on {wanted[1]}"
            )

    def _read(self, facts: Mapping[str, Any]) -> Facts:
        names = {field.name for field in fields(Facts)}
        with self._understood():
            found: Facts = codec.decode(Facts, {k: v for k, v in facts.items() if k in names})
        return found

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """Give the worker up after a malformed message: nothing else from it can be trusted."""
        try:
            yield
        except MalformedError as error:
            raise WorkerLostError(
                f"{self._target.host}: the worker sent a message that materia cannot read: "
                f"{error}; it is given up"
            ) from error

    def _judged(self, facts: Facts) -> tuple[str, Architecture]:
        python = facts.python
        version = ".".join(map(str, python))
        if python < OLDEST_PYTHON:
            oldest = ".".join(map(str, OLDEST_PYTHON))
            raise StageError(
                f"{self._target.host}: has Python {version}, and a worker needs {oldest} or later; "
                "choose another image"
            )
        processor = PROCESSORS.get(facts.machine)
        if processor is None:
            raise StageError(
                f"{self._target.host}: has a processor {facts.machine!r}, and artifacts are for "
                f"{' and '.join(sorted(set(PROCESSORS.values())))}"
            )
        return version, processor

    def close(self) -> None:
        """Close the connection; closing again does nothing."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _result(request: WorkerRequest, end: Result, server: SinkServer | None) -> Mapping[str, object]:
    """The result of the stage; with a sink at home, its own figures replace the worker's."""
    values = stage_results.checked(request.stage, end.values)
    if server is not None and request.stage == "transform":
        return stage_results.at_home(values, server.tables, server.database)
    # The database of a sink that the worker opened is in a folder that goes with the worker.
    return {**values, "database": None} if "database" in values else values


def _place(artifact: Artifact) -> str:
    return f"{ARTIFACTS}/{artifact.sha256}"


def command_id(run: str, stage: str, attempt: int) -> str:
    """The id of one attempt at a stage: at most 100 of `a-z`, `0-9` and `-`."""
    end = f"-{attempt}"
    return re.sub(r"[^a-z0-9-]", "-", f"{run}-{stage}".lower())[: 100 - len(end)] + end
