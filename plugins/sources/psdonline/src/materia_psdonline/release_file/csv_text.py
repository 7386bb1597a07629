"""The CSV text of an archive where DuckDB can read it, and the difference of two such texts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from materia_psdonline.release_file.archive import ahead, inflate, read_text
from materia_psdonline.release_file.csv_header import HEADER, with_plain_header
from materia_psdonline.release_file.line_diff import LineDiff, diff_lines


@contextmanager
def unpacked(
    path: Path, file: str, directory: Path, *, one_line_end: bool = False
) -> Iterator[str]:
    """A name under which the text can be opened and read, more than once.

    With *one_line_end* all its lines end with a line feed alone.

    In memory where the system can (Linux), since it is read at once and never again; else a
    temporary file in *directory*.
    """
    text: Iterable[bytes] = with_plain_header(read_text(path, file))
    with _written(with_line_feeds(text) if one_line_end else text, directory) as name:
        yield name


@contextmanager
def as_csv(lines: bytes, directory: Path) -> Iterator[str]:
    """The same for a few lines of such a text, under its header."""
    end = b"\r\n" if b"\r\n" in lines else b"\n"
    with _written([HEADER + end, lines], directory) as name:
        yield name


def has_mixed_line_ends(path: Path, file: str) -> bool:
    """Whether some lines of the text end otherwise than others: DuckDB does not read such a one."""
    feeds = both = 0
    last = b""
    for chunk in read_text(path, file):
        feeds += chunk.count(b"\n")
        both += chunk.count(b"\r\n") + (last == b"\r" and chunk.startswith(b"\n"))
        last = chunk[-1:] or last
    return 0 < both < feeds


def with_line_feeds(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text with all its lines ended by a line feed alone; what is between quotes stays."""
    quoted = False
    held = b""
    for chunk in chunks:
        text = held + chunk
        held = b"\r" if text.endswith(b"\r") else b""  # its line feed may be in the next one
        parts = text[: len(text) - len(held)].split(b'"')
        for at in range(quoted, len(parts), 2):
            parts[at] = parts[at].replace(b"\r\n", b"\n")
        quoted ^= len(parts) % 2 == 0
        yield b'"'.join(parts)
    yield held


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
        return diff_lines(with_plain_header(before), with_plain_header(after), limit=limit)
