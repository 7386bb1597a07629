"""A rented machine as the place where stages run: look at it, send the artifact, run a stage."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

from materia.events import Observe
from materia.machines import Architecture
from materia.protocols import Sink
from materia.script import Login
from materia.ssh import Session
from materia.worker_request import WorkerRequest

if TYPE_CHECKING:
    from materia.artifact import Artifact


class RemoteWorker:
    """A machine to log in to; a context manager. Being left closes the connection."""

    def __init__(self, login: Login, *, timeout: timedelta) -> None:
        """Connect, trying until *timeout*.

        Raises:
            HostKeyError: the time is over, and a server with another key answers.
            ReadyTimeoutError: the time is over, and nobody lets us in.
        """
        self._login = login
        self._session = Session(login, timeout=timeout)

    def probe(self) -> tuple[str, Architecture]:
        """Its version of Python, such as `3.11`, and its processor.

        Raises:
            StageError: there is no python3, or one too old, or a processor nobody builds for.
            WorkerLostError: it is out of reach.
        """
        raise NotImplementedError

    def prepare(self, artifact: Artifact) -> None:
        """Bring the artifact there, unpacked; nothing of it runs before its hash is right.

        The worker fetches it from its address when it has one, else it is sent from here. A second
        time costs one round trip.

        Raises:
            StageError: it is for another Python or processor, did not arrive whole, or there is no
                room for it.
            WorkerLostError: the worker is out of reach.
        """
        raise NotImplementedError

    def run(
        self,
        request: WorkerRequest,
        *,
        sink: Sink | None,
        attempt: int,
        limit: timedelta,
        observe: Observe,
    ) -> Mapping[str, object]:
        """Run one stage there and return its result.

        Args:
            request: The stage; its `workspace` is a folder here, for files that pass.
            sink: The opened sink, when it stays here; None when the worker opens it. The same
                object serves every stage and attempt of a run: the lock of its `checkout` is then
                that run's own.
            attempt: 1 for the first.
            limit: The stage is ended when it takes longer.
            observe: Told what happens, in the caller's thread, with secrets hidden.

        Raises:
            StageError: the stage failed by itself, ran out of memory, disk or time.
            WorkerLostError: the worker is out of reach; whether the stage succeeded is not known.
            MateriaError: of the class that the stage, or the sink here, raised.
        """
        raise NotImplementedError

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
