"""Orphaned process: find and end a stage that still runs in a local worker's folder.

The process of a stage holds a lock on a file in the folder. The kernel releases it when the last
process that holds it ends, so materia removes no folder while a process still ends there.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = [
    "end_process",
]

LOCK = "process.lock"
# A worker ends itself within 2 s of losing its run; after that it is killed.
PATIENCE_SECONDS = 4.0
KILLED_SECONDS = 5.0


@contextmanager
def lock_for_process(folder: Path) -> Iterator[int]:
    """Take the lock of *folder* and give its file descriptor, to pass to the process of a stage.

    A process that an earlier stage left there is ended first.
    """
    end_process(folder)
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield lock
    finally:
        os.close(lock)


def note_group(lock: int, group: int) -> None:
    """Write the process group into the lock file, for `end_process`."""
    os.pwrite(lock, f"{group}\n".encode(), 0)


def end_process(folder: Path) -> None:
    """Wait until no process works in *folder*, and kill one that takes too long.

    Raises:
        OSError: the process cannot be ended.
    """
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        if _free(lock, PATIENCE_SECONDS):
            return
        # While a process of the group holds the lock, no other group gets its number.
        with suppress(ValueError, ProcessLookupError):
            os.killpg(int(os.pread(lock, 20, 0)), signal.SIGKILL)
        if not _free(lock, KILLED_SECONDS):
            raise OSError(f"a process still works in {folder}")
    finally:
        os.close(lock)


def _free(lock: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        else:
            return True
