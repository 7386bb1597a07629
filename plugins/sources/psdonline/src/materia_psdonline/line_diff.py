"""What changed between two texts that are nearly equal, line by line, read as streams.

Two monthly snapshots share 98 lines in 100, byte for byte and in the same order. So whole blocks
are compared at memory speed, and lines are looked at only where blocks differ. The answer is exact
as a multiset whatever the texts are; likeness only makes it fast.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# Small blocks stay in the processor's cache while they are sliced and compared.
BLOCK = 1 << 14
# How much of each text is at hand: far more than the lines looked at in one step.
AHEAD = 1 << 20
# How far to look for the place where both texts go on alike: the 13 lines of a balance lie in the
# first distance, about 80 lines in the second.
LOOKS = (1 << 11, 1 << 13)
LOOK = LOOKS[-1]


class LineTooLongError(Exception):
    """A line does not fit into the window; these are not the texts this was made for."""


@dataclass(frozen=True, slots=True)
class LineDiff:
    """Lines of the old text that the new one lacks, and the other way round, as multisets.

    Lines keep their line ends; a last line without one gets a line feed.
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
        if _skip_equal(a, b):
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


def _skip_equal(a: _Window, b: _Window) -> bool:
    """Step over the lines both windows share; whether there were any."""
    text_a, text_b, i, j = a.text, b.text, a.at, b.at
    room = min(len(text_a) - i, len(text_b) - j)
    same = 0
    while same < room:
        size = min(BLOCK, room - same)
        start, block = i + same, text_b[j + same : j + same + size]
        if not text_a.startswith(block, start):
            low, high = 0, size  # the first difference lies in block[low:high]
            while high - low > 1:
                middle = (low + high) // 2
                if text_a.startswith(block[low:middle], start + low):
                    low = middle
                else:
                    high = middle
            same += low
            break
        same += size
    # Only whole lines count: step back to the last line end inside what is equal.
    shared = text_a.rfind(b"\n", i, i + same) + 1 - i
    if shared <= 0:
        return False
    a.at += shared
    b.at += shared
    return True


def _meeting_point(a: list[bytes], b: list[bytes]) -> tuple[int, int] | None:
    """How many lines to give up on either side until both go on with the same line."""
    # Lines edited in place: the n-th of one side is the n-th of the other again.
    paired = next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x == y), None)
    best = None if paired is None else (paired, paired)
    if best is not None and best[0] <= 1:
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

    def fill(self) -> bool:
        """Have enough of the text at hand; whether there is any left."""
        if not self._ended and len(self.text) - self.at < LOOK * 2:
            parts = [self.text[self.at :]]
            size = len(parts[0])
            while size < AHEAD:
                chunk = next(self._chunks, None)
                if chunk is None:
                    self._ended = True
                    if size and not parts[-1].endswith(b"\n"):
                        parts.append(b"\n")
                    break
                if chunk:
                    parts.append(chunk)
                    size += len(chunk)
            self.text = b"".join(parts)
            self.at = 0
        return self.at < len(self.text)

    def lines(self, look: int = LOOK) -> list[bytes]:
        """The next whole lines within *look* bytes; at least one, which may be longer."""
        end = self.text.rfind(b"\n", self.at, self.at + look) + 1
        if end <= self.at:
            end = self.text.find(b"\n", self.at, self.at + LOOK) + 1
        if end <= self.at:
            raise LineTooLongError
        return [line + b"\n" for line in self.text[self.at : end - 1].split(b"\n")]

    def take(self, lines: list[bytes]) -> list[bytes]:
        """Step over these lines."""
        self.at += sum(map(len, lines))
        return lines
