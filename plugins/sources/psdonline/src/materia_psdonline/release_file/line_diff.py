"""Streaming line diff of two nearly equal texts.

Two monthly snapshots share 98 lines in 100, byte for byte and in the same order. So this compares
whole blocks at memory speed and not single lines: after a difference it searches for a common line
a little further on. The result is exact as a multiset for any texts; similar texts only make it
fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# Bytes compared in one step; a binary search then narrows a difference down to about a line, and
# the rest is line by line.
BLOCK = 1 << 14
GRAIN = 1 << 6
# How far to search for a common line: the first distance covers the 13 lines of a balance, the last
# one the 20,000 of a large new commodity.
LOOKS = tuple(1 << power for power in range(11, 22))
# Read more of a text when less than this is in the window.
LOW = LOOKS[2] * 2


class LineTooLongError(Exception):
    """A line is longer than the longest search distance."""


@dataclass(frozen=True, slots=True)
class LineDiff:
    """The difference of two texts in whole lines, as multisets: *removed* and *added*.

    An unchanged line may be in both, equally often.
    """

    removed: bytes
    added: bytes


def diff_lines(old: Iterable[bytes], new: Iterable[bytes], *, limit: int) -> LineDiff | None:
    """Diff two texts in chunks of bytes; None when more than *limit* bytes differ.

    A text whose last line has no line feed is compared as if it had one.

    Raises:
        LineTooLongError: a line is longer than two million bytes.
    """
    a, b = _Window(old), _Window(new)
    removed: list[bytes] = []
    added: list[bytes] = []
    size = 0
    while a.fill() and b.fill():
        _skip_equal(a, b)
        while not (a.is_low() or b.is_low()):
            until_a, until_b = _meeting_point(a, b)
            size += until_a - a.at + until_b - b.at
            if size > limit:
                return None
            removed.append(a.take(until_a))
            added.append(b.take(until_b))
            _skip_equal(a, b)
    for window, rest in ((a, removed), (b, added)):
        while window.fill():
            rest.append(window.take(len(window.text)))
            size += len(rest[-1])
            if size > limit:
                return None
    return LineDiff(_whole_lines(removed), _whole_lines(added))


def _whole_lines(parts: list[bytes]) -> bytes:
    text = b"".join(parts)
    return text if not text or text.endswith(b"\n") else text + b"\n"


def _skip_equal(a: _Window, b: _Window) -> None:
    """Skip the lines that both windows share."""
    text_a, text_b, i = a.text, b.text, a.at
    same, end = b.at, min(len(text_b), b.at + len(text_a) - i)
    shift = i - same
    view = memoryview(text_b)  # its slices are no copies
    while same < end:
        stop = min(same + BLOCK, end)
        if text_a.startswith(view[same:stop], same + shift):
            same = stop
            continue
        while stop - same > GRAIN:  # the first difference lies between them
            middle = (same + stop) // 2
            if text_a.startswith(view[same:middle], same + shift):
                same = middle
            else:
                stop = middle
        break
    # Only whole lines count: start from the last line end in the equal part.
    place = text_b.rfind(b"\n", b.at, same) + 1 or b.at
    while (line_end := text_b.find(b"\n", place) + 1) and text_a.startswith(
        view[place:line_end], place + shift
    ):
        place = line_end
    a.at, b.at = place + shift, place


def _meeting_point(a: _Window, b: _Window) -> tuple[int, int]:
    """The next positions with a common line; if none is near, positions far ahead."""
    for look in LOOKS:
        a.reach(look * 2)
        b.reach(look * 2)
        if (found := _shared_line(a, b, look)) is not None:
            return _back(a, b, *found)
        if (found := _shared_line(b, a, look)) is not None:
            return _back(a, b, *reversed(found))
    return _back(a, b, a.last_line_end(), b.last_line_end())


def _shared_line(one: _Window, other: _Window, look: int) -> tuple[int, int] | None:
    """The positions in *one* and *other* of the line *look* bytes ahead in *one*."""
    start = one.text.find(b"\n", one.at + look)
    end = one.text.find(b"\n", start + 1)
    if start < 0 or end < 0:
        return None
    line = one.text[start : end + 1]  # from the line feed before it to its own
    found = other.text.find(line, other.at, other.at + look * 2)
    return None if found < 0 else (start + 1, found + 1)


def _back(a: _Window, b: _Window, until_a: int, until_b: int) -> tuple[int, int]:
    """Go back from a common line to the first line of the common part."""
    view = memoryview(b.text)
    same, beyond = 0, min(until_a - a.at, until_b - b.at)
    while beyond - same > GRAIN:
        middle = (same + beyond) // 2
        if a.text.endswith(view[until_b - middle : until_b], a.at, until_a):
            same = middle
        else:
            beyond = middle
    # Only whole lines count: start from the first line end in the equal part.
    shift = until_b - until_a
    place = a.text.find(b"\n", until_a - same, until_a) + 1 or until_a
    while place > a.at:
        start = a.text.rfind(b"\n", a.at, place - 1) + 1 or a.at
        there = start + shift
        if there < b.at or not b.begins_line(there):
            break
        if not b.text.startswith(a.text[start:place], there):
            break
        place = start
    return place, place + shift


class _Window:
    """A window on a text; `at` is always the start of a line."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._ended = False
        self.text = b""
        self.at = 0
        # A long chunk of which only the beginning is copied, and its position in the window.
        self._chunk = b""
        self._chunk_at = 0

    def is_low(self) -> bool:
        """Whether the window is nearly empty and the text has more, or nothing is left."""
        left = len(self.text) - self.at
        return left == 0 or (not self._ended and left < LOW)

    def fill(self) -> bool:
        """Read enough of the text into the window; return whether any is left."""
        if self._chunk and self.is_low():
            # The position is now inside the chunk: only the seam had to be copied.
            self.text, self.at = self._chunk, self.at - self._chunk_at
            self._chunk = b""
        if not self._ended and self.is_low():
            self._fetch(LOW, seam=True)
        return self.at < len(self.text)

    def reach(self, size: int) -> None:
        """Read *size* bytes into the window, or all that is left."""
        if len(self.text) - self.at >= size:
            return
        if self._chunk:
            self.text = self.text[: self._chunk_at] + self._chunk
            self._chunk = b""
        if not self._ended:
            self._fetch(size, seam=False)

    def _fetch(self, size: int, *, seam: bool) -> None:
        """Add chunks until the window has *size* bytes; copy only the *seam* of a long one."""
        parts = [self.text[self.at :]]
        have = len(parts[0])
        while have < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ended = True
                if have and not parts[-1].endswith(b"\n"):
                    parts.append(b"\n")
                break
            if seam and len(chunk) > LOW * 2:
                self._chunk, self._chunk_at = chunk, have
                chunk = chunk[: LOW * 2]
            if chunk:
                parts.append(chunk)
                have += len(chunk)
        self.text = b"".join(parts)
        self.at = 0

    def begins_line(self, place: int) -> bool:
        """Whether a line begins at *place*, which is at `at` or after it."""
        return place == self.at or self.text[place - 1] == ord("\n")

    def last_line_end(self) -> int:
        """The end of the last line within the longest search distance.

        Raises:
            LineTooLongError: no line ends there.
        """
        end = self.text.rfind(b"\n", self.at, self.at + LOOKS[-1]) + 1
        if not end:
            raise LineTooLongError
        return end

    def take(self, until: int) -> bytes:
        """Move to that position; return the skipped bytes."""
        taken = self.text[self.at : until]
        self.at = until
        return taken
