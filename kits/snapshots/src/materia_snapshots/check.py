"""Check a fetched file before it is used: packing, encoding, web pages, header."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from materia_http.verified import UnusableFileError

from materia_snapshots.contract import expected, new_columns
from materia_snapshots.forms import Csv, Form, JsonLines
from materia_snapshots.unpack import COMPOUND, check_end_of_workbook, decoded, is_page, unpacked

if TYPE_CHECKING:
    from materia_snapshots.declaration import Snapshots

LONGEST_HEADER = 1 << 20  # characters, with the lines before it
WORKBOOKS = (b"PK\x03\x04", COMPOUND)  # xlsx and ods; xls


def check(source: Snapshots, form: Form, path: Path, accept: Sequence[str]) -> str:
    """Read the whole file, check everything except its rows, and return its identity.

    Returns:
        SHA-256 of the unpacked file, in hex: equal for the same rows packed twice.

    Raises:
        UnusableFileError: the file cannot be used; the message says why.
    """
    digest = hashlib.sha256()
    chunks = _hashed(unpacked(path, form, limit=source.most_bytes), digest)
    if isinstance(form, Csv | JsonLines):
        head = _head(source, _first_checked(source, chunks), form)
        if isinstance(form, Csv):
            new_columns(source, split_head(head, form)[0], accept)
    else:
        _check_binary(form, path, chunks)
    return digest.hexdigest()


def split_head(text: str, form: Csv) -> tuple[list[str], int, str]:
    """The column names of a CSV text, the number of lines up to them, and the text behind them.

    Raises:
        UnusableFileError: there is no such line.
    """
    lines = io.StringIO(text, newline=None)
    for _ in range(form.skip):
        lines.readline()
    reader = csv.reader(iter(lines.readline, ""), delimiter=form.delimiter)
    try:
        names = [one.strip() for one in next(reader)]
    except (StopIteration, csv.Error) as error:
        raise UnusableFileError("has no line with the names of the columns") from error
    return names, form.skip + reader.line_num, lines.read()


def _head(source: Snapshots, chunks: Iterator[bytes], form: Csv | JsonLines) -> str:
    """The beginning of the text, all of which is decoded."""
    head = ""
    for text in decoded(chunks, form):
        if len(head) < LONGEST_HEADER:
            head += text
    if not head.strip():
        raise UnusableFileError(f"is empty, {expected(source)}")
    return head


def _first_checked(source: Snapshots, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks, unless they begin as a web page does."""
    for number, chunk in enumerate(chunks):
        if number == 0 and is_page(chunk[:512]):
            raise UnusableFileError(f"is an HTML page, {expected(source)}")
        yield chunk


def _check_binary(form: Form, path: Path, chunks: Iterator[bytes]) -> None:
    """Compare the first and the last bytes with those of a Parquet file or a workbook."""
    kind = type(form).__name__
    begin = end = b""
    for chunk in chunks:
        begin = begin or chunk[:512]
        end = (end + chunk)[-4:]
    if not begin:
        raise UnusableFileError("is empty")
    if is_page(begin):
        raise UnusableFileError(f"is an HTML page, not a file of {kind}")
    starts = (b"PAR1",) if kind == "Parquet" else WORKBOOKS
    if not begin.startswith(starts):
        raise UnusableFileError(f"is not a file of {kind}: it starts with {begin[:8]!r}")
    if kind == "Parquet" and end != b"PAR1":
        raise UnusableFileError("is cut short: it does not end as a Parquet file does")
    if kind == "Excel" and not form.packed:
        check_end_of_workbook(path)


def _hashed(chunks: Iterator[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
