"""File lock: one materia process at a time; the kernel releases it when the process ends."""

from __future__ import annotations

import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path

from materia.errors import BusyError

__all__ = [
    "Lock",
]


class Lock:
    """A lock on a file, held from its creation until `release` or garbage collection."""

    def __init__(self, path: Path, *, what: str) -> None:
        """Take the lock at *path*, in a folder that exists; messages call it *what*.

        Raises:
            BusyError: another process holds it, or another sink in this process.
        """
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(self._descriptor, 200, 0).decode("utf-8", "replace").strip()
            self.release()
            raise BusyError(
                f"{what}: locked by another materia process ({owner or 'just started'}); "
                "run again when it has ended"
            ) from error
        started = datetime.now(UTC).isoformat(timespec="seconds")
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"PID {os.getpid()}, since {started}\n".encode(), 0)

    def release(self) -> None:
        """Release the lock; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        self.release()
