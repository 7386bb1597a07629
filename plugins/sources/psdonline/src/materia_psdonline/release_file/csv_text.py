"""Make an archive's CSV text readable for DuckDB, and diff two such texts."""

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
    """A path at which the text can be opened and read, more than once.

    With *one_line_end* all lines end with a line feed only.

    The text is in memory where the system allows it (Linux), else in a temporary file in
    *directory*.
    """
    text: Iterable[bytes] = with_plain_header(read_text(path, file))
    with _written(with_line_feeds(text) if one_line_end else text, directory) as name:
        yield name


@contextmanager
def as_csv(lines: bytes, directory: Path) -> Iterator[str]:
    """A path for a few lines of such a text, with its header."""
    end = b"\r\n" if b"\r\n" in lines else b"\n"
    with _written([HEADER + end, lines], directory) as name:
        yield name


def has_mixed_line_ends(path: Path, file: str) -> bool:
    """Whether the text has mixed line ends, which DuckDB does not read."""
    feeds = both = 0
    last = b""
    for chunk in read_text(path, file):
        feeds += chunk.count(b"\n")
        both += chunk.count(b"\r\n") + (last == b"\r" and chunk.startswith(b"\n"))
        last = chunk[-1:] or last
    return 0 < both < feeds


def with_line_feeds(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text with a line feed as the only line end; quoted fields stay unchanged."""
    quoted = False
    held = b""
    for chunk in chunks:
        text = held + chunk
        held = b"\r" if text.endswith(b"\r") else b""  # the line feed may be in the next chunk
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
    """Diff the texts of two archives; a separate thread decompresses the new one.

    A second thread for the old text would be slower: the comparison holds the interpreter's lock,
    and the other threads would only wait for it.

    The checksum of *old* is not checked: it is already loaded, and a line that changed on the disk
    would not match the loaded rows.

    Raises:
        ArchiveError: one of them is damaged.
        LineTooLongError: a line is too long for the diff.
    """
    with (
        closing(inflate(old, file)) as before,
        closing(ahead(read_text(new, file))) as after,
    ):
        return diff_lines(with_plain_header(before), with_plain_header(after), limit=limit)
