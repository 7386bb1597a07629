"""Unpack a zip or gzip in chunks: stop zip bombs, and report damage, odd members and long files."""

from __future__ import annotations

import codecs
import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from materia_http.verified import UnusableFileError

from materia_snapshots.forms import Csv, Excel, Form, JsonLines

CHUNK = 1 << 20
# Text shrinks some 5 to 20 times; more than this is a zip bomb, once it is also large.
MAX_RATIO = 200
BOMB_BYTES = 1 << 26
# DuckDB reads no longer ones. A file with one line of 300 MB gave no row and no error.
LONGEST_LINE = {Csv: 2_000_000, JsonLines: 1 << 24}  # characters
# Encodings that take nearly every file for a text. Text beyond ASCII in them is hardly ever UTF-8.
ANY_BYTES = {"latin-1", "windows-1252"}
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")


def unpacked(path: Path, form: Form, *, limit: int) -> Iterator[bytes]:
    """The content of a file in chunks, unpacked as *form* says; at most *limit* bytes.

    Raises:
        UnusableFileError: it is damaged, cut short, not packed so, too long, or a zip bomb.
    """
    packed = path.stat().st_size
    size = 0
    for chunk in _chunks(path, form):
        size += len(chunk)
        if size > limit:
            raise UnusableFileError(f"has more than {limit:,} bytes when it is unpacked")
        if form.packed and size > max(BOMB_BYTES, MAX_RATIO * packed):
            raise UnusableFileError(f"unpacks {packed:,} bytes to more than {size:,}: a zip bomb")
        yield chunk


def decoded(chunks: Iterator[bytes], form: Csv | JsonLines) -> Iterator[str]:
    """The text of a file, without a byte order mark.

    Raises:
        UnusableFileError: a byte does not fit the encoding, the text is UTF-8 all through and
            another encoding is declared, it has NUL characters, or a line is too long for a row.
    """
    encoding = form.encoding if isinstance(form, Csv) else "utf-8"
    if encoding in ANY_BYTES:
        chunks = _not_utf8(chunks, encoding)
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    decoder = codecs.getincrementaldecoder(codec)()
    line, length = 1, 0
    for chunk, last in _with_last(chunks):
        try:
            text = decoder.decode(chunk, last)
        except UnicodeDecodeError as error:
            at = line + error.object[: error.start].count(b"\n")
            raise UnusableFileError(
                f"byte 0x{error.object[error.start]:02x} in line {at:,} is not {encoding}"
            ) from error
        except UnicodeError as error:  # UTF-16 without its mark
            raise UnusableFileError(f"is not {encoding}: {error}") from error
        if "\0" in text:
            at = line + text[: text.index("\0")].count("\n")
            raise UnusableFileError(f"has a NUL character in line {at:,}: it is not {encoding}")
        begin, end = _ends(text)
        if length + begin > LONGEST_LINE[type(form)]:
            most = f"{LONGEST_LINE[type(form)]:,}"
            raise UnusableFileError(f"line {line:,} has more than {most} characters")
        length = len(text) - end if end else length + len(text)
        line += text.count("\n")
        yield text


def _not_utf8(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """The same chunks; an error at the end when letters beyond ASCII are all those of UTF-8."""
    decoder, fits, beyond = codecs.getincrementaldecoder("utf-8")(), True, False
    for chunk in chunks:
        yield chunk
        beyond = beyond or not chunk.isascii()
        fits = fits and _fits(decoder, chunk)
    if beyond and fits and _fits(decoder, b"", last=True):
        raise UnusableFileError(f"is utf-8, and not {encoding}: its letters would come out wrong")


def _fits(decoder: codecs.IncrementalDecoder, chunk: bytes, *, last: bool = False) -> bool:
    try:
        decoder.decode(chunk, last)
    except UnicodeDecodeError:
        return False
    return True


def _ends(text: str) -> tuple[int, int]:
    """Length of a text up to its first line end, and up to behind its last one; 0 without one."""
    places = [place for mark in "\r\n" if (place := text.find(mark)) >= 0]
    return min(places, default=len(text)), max(text.rfind("\r"), text.rfind("\n")) + 1


def damaged(path: Path, form: Form, *, limit: int) -> bool:
    """Whether a refused file looks damaged in transfer: its packing does not hold.

    What is intact and useless for another reason is not damaged.
    """
    if not form.packed and not isinstance(form, Excel):
        return False
    try:
        if not form.packed:
            check_end_of_workbook(path)
        for _ in unpacked(path, form, limit=limit):
            pass
    except UnusableFileError as error:
        return isinstance(error.__cause__, BROKEN)
    return False


def check_end_of_workbook(path: Path) -> None:
    """Check that a workbook has its end: a zip says where it is, and so does an `.xls` file.

    Raises:
        UnusableFileError: it is cut short.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(512)
            if begin.startswith(COMPOUND):
                _check_end_of_compound(file, begin)
        if begin.startswith(b"PK"):
            zipfile.ZipFile(path).close()
    except BROKEN as error:
        raise UnusableFileError(f"is cut short or damaged: {error}") from error


# The file format of `.xls`: sectors, and tables with the next sector of each. [MS-CFB], 2.2 and 2.3
# of revision 12.0 (2024-04-23).
COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
FREE, SPECIAL = 0xFFFFFFFF, 0xFFFFFFFA


def _check_end_of_compound(file: BinaryIO, header: bytes) -> None:
    """Compare the length with the last sector in use; the last one may be shorter."""
    if len(header) < 512:
        raise EOFError("the header is not whole")
    size = {9: 512, 12: 4096}.get(struct.unpack_from("<H", header, 30)[0], 0)
    if not size:
        raise ValueError("its sectors have an odd size")
    sectors = file.seek(0, io.SEEK_END) // size
    tables = list(struct.unpack_from("<109I", header, 76))
    more = struct.unpack_from("<I", header, 68)[0]
    while more < SPECIAL and len(tables) <= 109 + sectors:
        *others, more = _sector(file, more, size)
        tables += others
    tables = [one for one in tables if one < SPECIAL]
    if len(tables) > 1 + sectors // (size // 4):
        raise ValueError("it has too many tables of its sectors")
    last = -1
    for number, table in enumerate(tables):
        used = [place for place, one in enumerate(_sector(file, table, size)) if one != FREE]
        last = max(last, number * (size // 4) + used[-1]) if used else last
    if file.seek(0, io.SEEK_END) <= (last + 1) * size:
        raise EOFError("its last sectors are missing")


def _sector(file: BinaryIO, number: int, size: int) -> tuple[int, ...]:
    file.seek((number + 1) * size)
    if len(found := file.read(size)) < size:
        raise EOFError("a table of its sectors is missing")
    return struct.unpack(f"<{size // 4}I", found)


# RuntimeError: a zip of a newer version, or with features that Python lacks. ValueError: a name
# that is no text, or a place before the file begins.
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)


def _chunks(path: Path, form: Form) -> Iterator[bytes]:
    try:
        match form.packed:
            case "":
                with path.open("rb") as file:
                    while chunk := file.read(CHUNK):
                        yield chunk
            case "gzip":
                with gzip.open(path) as packed:
                    while chunk := packed.read(CHUNK):
                        yield chunk
            case "zip":
                with zipfile.ZipFile(path) as archive:
                    member = _member(archive, form.member)
                    with archive.open(member) as packed:
                        while chunk := packed.read(CHUNK):
                            yield chunk
    except BROKEN as error:
        raise UnusableFileError(_broken(path, form.packed, error)) from error


def _member(archive: zipfile.ZipFile, pattern: str) -> zipfile.ZipInfo:
    members = [one for one in archive.infolist() if not one.is_dir() and not _beside(one)]
    for one in members:
        path = PurePosixPath(one.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts:
            raise UnusableFileError(f"has a member outside of the archive: {one.filename!r}")
    fit = [
        one
        for one in members
        if fnmatch(PurePosixPath(one.filename).name.casefold(), pattern.casefold())
    ]
    if len(fit) != 1:
        names = ", ".join(sorted(one.filename for one in members)[:5]) or "none"
        raise UnusableFileError(f"has {len(fit)} members {pattern}, expected one; it has {names}")
    member = fit[0]
    if member.flag_bits & 1:
        raise UnusableFileError(f"is encrypted: {member.filename}")
    if member.compress_type not in METHODS:
        raise UnusableFileError(f"uses the zip method {member.compress_type}, expected 8 (deflate)")
    return member


def _beside(member: zipfile.ZipInfo) -> bool:
    """Whether it is a file that macOS adds to an archive."""
    path = PurePosixPath(member.filename)
    return "__MACOSX" in path.parts[:1] or path.name.startswith("._") or path.name == ".DS_Store"


def _broken(path: Path, packed: str, error: Exception) -> str:
    with path.open("rb") as file:
        begin = file.read(512)
    if not begin:
        return "is empty"
    if is_page(begin):
        return f"is an HTML page, not a {packed} file"
    start = {"zip": b"PK", "gzip": b"\x1f\x8b"}.get(packed, b"")
    if not begin.startswith(start):
        return f"is not a {packed} file: it starts with {begin[:8]!r}"
    return f"is cut short or damaged: {error}"


def is_page(begin: bytes) -> bool:
    """Whether a file that begins so is a web page."""
    return begin.removeprefix(codecs.BOM_UTF8).lstrip().lower().startswith(PAGES)


def _with_last(chunks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    for chunk in chunks:
        yield chunk, False
    yield b"", True
