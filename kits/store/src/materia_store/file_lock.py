"""One materia at a time: a lock that the kernel drops when its process ends, however it ends."""

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
    """Held from its making until `release`, or until nobody refers to it any more."""

    def __init__(self, path: Path, *, what: str) -> None:
        """Take the lock at *path*, whose folder exists; *what* stands for it in messages.

        Raises:
            BusyError: another process has it, or another sink in this one.
        """
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(self._descriptor, 200, 0).decode("utf-8", "replace").strip()
            self.release()
            raise BusyError(
                f"{what}: another materia is at work on it ({owner or 'it has just begun'}); "
                "run again when it has ended"
            ) from error
        started = datetime.now(UTC).isoformat(timespec="seconds")
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"PID {os.getpid()}, since {started}\n".encode(), 0)

    def release(self) -> None:
        """Let others have it; a second time does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        self.release()
