"""Format sizes, counts and tables as text."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from functools import partial

from materia.printable import printable

GAP = "  "


def size(count: int) -> str:
    """Bytes in decimal units, as download pages show them: `24.1 MB`."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{count} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


def many(count: int, word: str) -> str:
    """`1 model`, `2 models`, `1,234 models`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def _cell(text: str) -> str:
    """*text* on one line: a name from outside cannot add a row."""
    return " ".join(printable(text).splitlines()).replace("\t", " ")


def terminal_columns() -> int | None:
    """Columns of the terminal that shows standard output; None when it goes to a pipe or a file."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        return shutil.get_terminal_size().columns
    return None


def table(rows: Sequence[Sequence[str]], *, head: Sequence[str], columns: int | None = None) -> str:
    """A table of aligned columns under their names, without empty columns.

    In a terminal that is too narrow, words move to further lines of their cells. Where not even
    the longest words fit, each row becomes a block of lines with the names of the columns.

    Args:
        rows: Cells of each row.
        head: Names of the columns.
        columns: Characters in a line; those of the terminal when None.
    """
    rows = [[_cell(text) for text in row] for row in rows]
    kept = [index for index in range(len(head)) if any(row[index] for row in rows)]
    lines = [[row[index] for index in kept] for row in (head, *rows)]
    limit = columns or terminal_columns()
    widths = _widths(lines, limit)
    if widths is None:
        return "\n".join(_block(lines[0], row, limit or 0) for row in lines[1:])
    return "\n".join(line for row in lines for line in _wrapped(row, widths))


def _widths(lines: Sequence[Sequence[str]], limit: int | None) -> list[int] | None:
    """Width of each column so that a line has at most *limit* characters; None without such."""
    columns = list(zip(*lines, strict=True))
    widths = [max(map(len, column)) for column in columns]
    least = [max(_longest_word(cell) for cell in column) for column in columns]
    while limit is not None and sum(widths) + len(GAP) * (len(widths) - 1) > limit:
        spare = [width - low for width, low in zip(widths, least, strict=True)]
        widest = max(range(len(widths)), key=lambda index: (spare[index] > 0, widths[index]))
        if spare[widest] <= 0:
            return None
        widths[widest] -= 1
    return widths


def _longest_word(cell: str) -> int:
    """Characters that stay on one line: of a number with spaces before it, all."""
    if cell.startswith(" "):
        return len(cell)
    return max(map(len, cell.split()), default=0)


def _wrapped(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """The lines of one row."""
    cells = [
        [cell] if len(cell) <= width else textwrap.wrap(cell, width, break_on_hyphens=False)
        for cell, width in zip(row, widths, strict=True)
    ]
    for parts in itertools.zip_longest(*cells, fillvalue=""):
        yield GAP.join(
            part.ljust(width) for part, width in zip(parts, widths, strict=True)
        ).rstrip()


def _block(head: Sequence[str], row: Sequence[str], limit: int) -> str:
    """One row as lines: its first cell, and below it the others after their names."""
    title, *others = [cell.strip() for cell in row]
    named = [
        f"{name.strip()}: {cell}" if name.strip() else cell
        for name, cell in zip(head[1:], others, strict=True)
        if cell
    ]
    whole = partial(textwrap.fill, width=limit, break_long_words=False, break_on_hyphens=False)
    below = [whole(text, initial_indent=GAP, subsequent_indent=GAP * 2) for text in named]
    return "\n".join([whole(title), *below])
