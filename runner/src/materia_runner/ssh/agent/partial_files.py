"""Resume a transfer: keep the bytes of a partial file on a rented machine after a break.

Sent with the file agent: standard library only, Python 3.9 and later.
"""
# ruff: noqa: PTH123 -- pathlib would take half of the start-up time

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import struct
import time
from collections.abc import Callable

CHUNK = 1 << 18
PART = ".part"
IDENTITY = 16  # hex digits of the hash in the name of a part
LOCK = "hhqqi"  # struct flock, fcntl(2), of 64-bit Linux: kind, whence, start, length, holder
LOCK_SECONDS = 5.0

Read = Callable[[], bytes]


class Part:
    """Part of a file that has arrived; it stays when a connection breaks.

    Attributes:
        has: Number of bytes from earlier connections.
        whole: Whether all bytes came, so that the part can be removed; otherwise it stays.
    """

    def __init__(self, path: str, *, anew: bool) -> None:
        self.path = path
        self.whole = True
        self._kept = True
        self._number = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        self.own()
        if anew:
            os.ftruncate(self._number, 0)
        self.has = os.fstat(self._number).st_size

    def own(self) -> None:
        """Lock the part; kill another process that holds it, as its connection has broken."""
        end = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.lockf(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                asked = struct.pack(LOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
                holder = struct.unpack(LOCK, fcntl.fcntl(self._number, fcntl.F_GETLK, asked))[-1]
                if holder > 0:
                    with contextlib.suppress(OSError):
                        os.kill(holder, signal.SIGKILL)
                if time.monotonic() > end:
                    raise OSError(errno.EBUSY, "another process is copying it") from None
                time.sleep(0.02)
            else:
                return

    def empty(self) -> None:
        """Remove all bytes, to start again."""
        os.ftruncate(self._number, 0)
        self.has = 0

    def then(self, more: Read, *, needed: bool) -> Read:
        """Read the part, then *more*, and append it; unless *needed*, a full disk is no error."""
        left = self.has

        def read() -> bytes:
            nonlocal left
            if left:
                block = os.read(self._number, min(left, CHUNK))
                left -= len(block)
                return block
            block = more()
            if self._kept:
                try:
                    rest = memoryview(block)
                    while rest:
                        rest = rest[os.write(self._number, rest) :]
                except OSError:
                    if needed:
                        raise
                    self._kept = False
                    os.ftruncate(self._number, 0)
            return block

        os.lseek(self._number, 0, os.SEEK_SET)
        return read


def locked(path: str) -> bool:
    """Whether another process has locked a file; a file that cannot be opened counts as locked."""
    try:
        with open(path, "r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
