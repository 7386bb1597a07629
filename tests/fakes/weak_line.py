"""A line to a worker that breaks whenever so many bytes went over it in one direction."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import replace
from types import TracebackType
from typing import Self

from fakes.machines import READY, Worker
from materia_runner.ssh.session import Session

BLOCK_BYTES = 16384
PACE_SECONDS = 0.004


class WeakLine:
    """Stands before a worker; a context manager.

    Attributes:
        up: Bytes that went to the worker, over all connections.
        down: Bytes that came from it.
        breaks: How often it broke.
        bears: Bytes in one direction after which a connection breaks.
    """

    def __init__(self, worker: Worker, *, bears: int) -> None:
        self.up = self.down = self.breaks = 0
        self.bears = bears
        self._worker = worker
        self._ends: list[socket.socket] = []
        self._pumps: list[threading.Thread] = []
        self._front = socket.create_server(("127.0.0.1", 0))
        self._serving = threading.Thread(target=self._serve, daemon=True)
        self._serving.start()

    def session(self) -> Session:
        port = self._front.getsockname()[1]
        login = replace(self._worker.login, host="127.0.0.1", port=port)
        return Session(login, timeout=READY)

    def _serve(self) -> None:
        login = self._worker.login
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._front.accept()
                far = socket.create_connection((login.host, login.port))
                self._ends += [near, far]
                for ends in ((near, far, True), (far, near, False)):
                    self._pumps.append(threading.Thread(target=self._pump, args=ends, daemon=True))
                    self._pumps[-1].start()

    def _pump(self, source: socket.socket, target: socket.socket, up: bool) -> None:  # noqa: FBT001 -- the direction
        left = self.bears
        with contextlib.suppress(OSError):
            while left and (block := source.recv(min(left, BLOCK_BYTES))):
                target.sendall(block)
                time.sleep(PACE_SECONDS)  # no faster than what reads at the far end
                left -= len(block)
                if up:
                    self.up += len(block)
                else:
                    self.down += len(block)
        self.breaks += not left
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._front.shutdown(socket.SHUT_RDWR)
        self._serving.join()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for pump in self._pumps:
            pump.join()
        for end in (self._front, *self._ends):
            end.close()
