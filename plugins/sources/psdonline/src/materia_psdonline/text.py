"""The text of an archive where DuckDB can read it, and two texts compared as they are unpacked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from materia_psdonline.archive import HEADER, ahead, inflate, read_text
from materia_psdonline.line_diff import LineDiff, diff_lines


@contextmanager
def unpacked(path: Path, file: str, directory: Path) -> Iterator[str]:
    """A name under which the text can be opened and read, more than once.

    In memory where the system can (Linux), since it is read at once and never again; else a
    temporary file in *directory*.
    """
    with _written(read_text(path, file), directory) as name:
        yield name


@contextmanager
def as_csv(lines: bytes, directory: Path) -> Iterator[str]:
    """The same for a few lines of such a text, under its header."""
    with _written([HEADER + b"\r\n", lines], directory) as name:
        yield name


@contextmanager
def _written(chunks: Iterable[bytes], directory: Path) -> Iterator[str]:
    if hasattr(os, "memfd_create"):
        number = os.memfd_create("materia-text")
        name = f"/proc/self/fd/{number}"
    else:
        path = directory / "text.csv"
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        name = str(path)
    try:
        with os.fdopen(number, "wb", closefd=False) as out:
            for chunk in chunks:
                out.write(chunk)
        yield name
    finally:
        os.close(number)
        if not name.startswith("/proc/"):
            Path(name).unlink(missing_ok=True)


def diff_texts(old: Path, new: Path, file: str, *, limit: int) -> LineDiff | None:
    """Compare the texts of two archives; the new one is unpacked by a thread of its own.

    One for the old text too would make it slower: whoever compares does not let go of the
    interpreter, and the others would only wait for it.

    The checksum of *old* is not looked at: it is loaded already, so a line of it that changed on
    the disk is found out by not being among the rows.

    Raises:
        ArchiveError: one of them is damaged.
        LineTooLongError: as `diff_lines`.
    """
    with (
        closing(inflate(old, file)) as before,
        closing(ahead(read_text(new, file))) as after,
    ):
        return diff_lines(before, after, limit=limit)
