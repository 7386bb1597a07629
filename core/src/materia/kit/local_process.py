"""Whether a stage still runs in a worker's folder on this machine, also when its run was killed.

The process of a stage holds a lock on a file in the folder. The kernel drops it with the last
process that has it, so nothing is cleared away under one that is still ending.
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
    """A descriptor to pass to the process that will work in *folder*: it then has the lock.

    What the stage before left running there is ended first.
    """
    end_process(folder)
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield lock
    finally:
        os.close(lock)


def note_group(lock: int, group: int) -> None:
    """Write down which process group it is, for `end_process`."""
    os.pwrite(lock, f"{group}\n".encode(), 0)


def end_process(folder: Path) -> None:
    """Wait until no process works in *folder*; one that takes too long is killed.

    Raises:
        OSError: it cannot be ended.
    """
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        if _free(lock, PATIENCE_SECONDS):
            return
        # As long as one of the group holds the lock, its number is no other's.
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
