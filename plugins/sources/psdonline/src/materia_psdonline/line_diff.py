"""What changed between two texts that are nearly equal, line by line, read as streams.

Two monthly snapshots share 98 lines in 100, byte for byte and in the same order. So whole blocks
are compared at memory speed, and lines are looked at only where blocks differ. The answer is exact
as a multiset whatever the texts are; likeness only makes it fast.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import eq

# What is compared in one step; a difference in it is then searched for in steps of halves.
BLOCK = 1 << 14
# How far to look for the place where both texts go on alike: the 13 lines of a balance lie in the
# first distance, about 80 lines in the second.
LOOKS = (1 << 11, 1 << 13)
LOOK = LOOKS[-1]
# With less of a text than this at hand, more is fetched.
LOW = LOOK * 2


class LineTooLongError(Exception):
    """A line does not fit into the window; these are not the texts this was made for."""


@dataclass(frozen=True, slots=True)
class LineDiff:
    """Lines of the old text that the new one lacks, and the other way round, as multisets.

    Each without the line feed at its end.
    """

    removed: list[bytes]
    added: list[bytes]


def diff_lines(old: Iterable[bytes], new: Iterable[bytes], *, limit: int) -> LineDiff | None:
    """Compare two texts given as chunks of bytes; None when more than *limit* lines differ.

    Raises:
        LineTooLongError: a line is longer than a few thousand bytes.
    """
    a, b = _Window(old), _Window(new)
    removed: list[bytes] = []
    added: list[bytes] = []
    while a.fill() and b.fill():
        _skip_equal(a, b)
        if a.is_low() or b.is_low():
            continue
        for look in LOOKS:
            lines_a, lines_b = a.lines(look), b.lines(look)
            if (meeting := _meeting_point(lines_a, lines_b)) is not None:
                break
        count_a, count_b = meeting or (len(lines_a), len(lines_b))
        removed += a.take(lines_a[:count_a])
        added += b.take(lines_b[:count_b])
        if len(removed) + len(added) > limit:
            return None
    for window, rest in ((a, removed), (b, added)):
        while window.fill():
            rest.extend(window.take(window.lines()))
            if len(rest) > limit:
                return None
    return _cancel(removed, added)


def _skip_equal(a: _Window, b: _Window) -> None:
    """Step over the lines both windows share."""
    text_a, text_b, i = a.text, b.text, a.at
    same, end = b.at, min(len(text_b), b.at + len(text_a) - i)
    shift = i - same
    view = memoryview(text_b)  # its slices are no copies
    while same < end:
        stop = min(same + BLOCK, end)
        if text_a.startswith(view[same:stop], same + shift):
            same = stop
            continue
        while stop - same > 1:  # the first difference lies between them
            middle = (same + stop) // 2
            if text_a.startswith(view[same:middle], same + shift):
                same = middle
            else:
                stop = middle
        break
    # Only whole lines count: step back to the last line end inside what is equal.
    if line_end := text_b.rfind(b"\n", b.at, same) + 1:
        a.at, b.at = line_end + shift, line_end


def _meeting_point(a: list[bytes], b: list[bytes]) -> tuple[int, int] | None:
    """How many lines to give up on either side until both go on with the same line."""
    # Lines edited in place: the n-th of one side is the n-th of the other again.
    best = None
    pairs = list(map(eq, a, b))
    if True in pairs:
        paired = pairs.index(True)
        best = (paired, paired)
        if paired < 2 or (a[paired - 1] not in b and b[paired - 1] not in a):
            return best
    # Lines inserted or deleted: the nearest line of one side that the other has too.
    where = {line: k for k, line in reversed(list(enumerate(b)))}
    for k, line in enumerate(a):
        if best is not None and k >= sum(best):
            break
        if (m := where.get(line)) is not None and (best is None or k + m < sum(best)):
            best = (k, m)
    return best


def _cancel(removed: list[bytes], added: list[bytes]) -> LineDiff:
    """Take out lines that only moved."""
    if not set(removed).isdisjoint(added):
        was, now = Counter(removed), Counter(added)
        moved = was & now
        removed, added = list((was - moved).elements()), list((now - moved).elements())
    return LineDiff(removed, added)


class _Window:
    """The part of a text that is at hand; `at` is always the start of a line."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._ended = False
        self.text = b""
        self.at = 0
        # A long chunk of which only the beginning is in the text, and where it begins there.
        self._chunk = b""
        self._chunk_at = 0

    def is_low(self) -> bool:
        """Whether there is more to be had, or nothing left."""
        left = len(self.text) - self.at
        return left == 0 or (not self._ended and left < LOW)

    def fill(self) -> bool:
        """Have enough of the text at hand; whether there is any left."""
        if self._chunk and self.is_low():
            # The place is in the beginning of the chunk by now: only the seam had to be copied.
            self.text, self.at = self._chunk, self.at - self._chunk_at
            self._chunk = b""
        if not self._ended and self.is_low():
            parts = [self.text[self.at :]]
            size = len(parts[0])
            while size < LOW:
                chunk = next(self._chunks, None)
                if chunk is None:
                    self._ended = True
                    if size and not parts[-1].endswith(b"\n"):
                        parts.append(b"\n")
                    break
                if len(chunk) > LOW * 2:
                    self._chunk, self._chunk_at = chunk, size
                    chunk = chunk[: LOW * 2]
                if chunk:
                    parts.append(chunk)
                    size += len(chunk)
            self.text = b"".join(parts)
            self.at = 0
        return self.at < len(self.text)

    def lines(self, look: int = LOOK) -> list[bytes]:
        """The next whole lines within *look* bytes; at least one, which may be longer."""
        end = self.text.rfind(b"\n", self.at, self.at + look)
        if end < 0:
            end = self.text.find(b"\n", self.at, self.at + LOOK)
        if end < 0:
            raise LineTooLongError
        return self.text[self.at : end].split(b"\n")

    def take(self, lines: list[bytes]) -> list[bytes]:
        """Step over these lines."""
        self.at += sum(map(len, lines)) + len(lines)
        return lines
