"""Log file of a stage with a size limit: keeps the beginning and the end, cuts the middle.

A stage can write for hours, on a machine that is not ours: its log must not fill the disk or the
memory here.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from pathlib import Path

LIMIT_BYTES = 10_000_000
LONGEST_LINE = 100_000  # characters; a longer line is cut
TAIL_SHARE = 5  # one fifth of the bytes is for the end


class StageLog:
    """An append-only log; close it when the stage has ended.

    The end is kept in memory until then: a process that is killed leaves only the beginning, and
    its last line says so.
    """

    def __init__(self, path: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._tail_bytes = limit_bytes // TAIL_SHARE
        self._head_left = limit_bytes - self._tail_bytes
        self._tail: deque[bytes] = deque()
        self._in_tail = 0
        self._cut_lines = self._cut_bytes = 0
        self._full = False
        self._file = path.open("ab", buffering=0)

    def write(self, at: datetime, text: str) -> None:
        """Append *text*, line by line, with the time *at*."""
        for line in text.splitlines() or [""]:
            if len(line) > LONGEST_LINE:
                cut = len(line) - LONGEST_LINE
                self._cut_bytes += cut
                line = f"{line[:LONGEST_LINE]} ... ({cut:,} more characters of this line were cut)"  # noqa: PLW2901 -- the same line
            self._add(_stamped(at, line))

    def close(self, at: datetime) -> None:
        """Write the end, and what was cut before it; closing again does nothing."""
        if self._file.closed:
            return
        with self._file:
            if self._cut_lines:
                notice = f"{self._cut_lines:,} lines ({self._cut_bytes:,} bytes) were cut here"
                self._file.write(_stamped(at, f"{notice}: a log has at most {self._size()}"))
            self._file.write(b"".join(self._tail))
        self._tail.clear()

    def _add(self, line: bytes) -> None:
        if not self._full and len(line) <= self._head_left:
            self._head_left -= len(line)
            self._file.write(line)
            return
        if not self._full:
            self._full = True
            notice = f"only the end is kept from here on: a log has at most {self._size()}\n"
            self._file.write(line[: line.index(b"Z ") + 2] + notice.encode())
        self._tail.append(line)
        self._in_tail += len(line)
        while self._in_tail > self._tail_bytes:
            gone = self._tail.popleft()
            self._in_tail -= len(gone)
            self._cut_lines += 1
            self._cut_bytes += len(gone)

    def _size(self) -> str:
        return f"{self._limit / 1e6:g} MB"


def _stamped(at: datetime, line: str) -> bytes:
    return f"{at:%Y-%m-%d %H:%M:%S.%f}Z {line}\n".encode("utf-8", "backslashreplace")
