"""Format sizes, counts and tables as text."""

from __future__ import annotations

from collections.abc import Sequence

from materia.printable import printable


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


def table(rows: Sequence[Sequence[str]], *, head: Sequence[str]) -> str:
    """A table of aligned columns under their names, without empty columns."""
    rows = [[_cell(text) for text in row] for row in rows]
    kept = [index for index in range(len(head)) if any(row[index] for row in rows)]
    lines = [[row[index] for index in kept] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
