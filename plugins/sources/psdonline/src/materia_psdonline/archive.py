"""One archive file: a zip with one CSV inside. What is wrong with it, and its text as a stream.

`X_csv.zip` holds exactly one member `X.csv`, deflated; the header below has been the same in every
release seen (2022 to 2026, and one quoted row of about 2010).
"""

from __future__ import annotations

import codecs
import struct
import zipfile
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import cast

from isal import isal_zlib

COLUMNS = (
    "Commodity_Code",
    "Commodity_Description",
    "Country_Code",
    "Country_Name",
    "Market_Year",
    "Calendar_Year",
    "Month",
    "Attribute_ID",
    "Attribute_Description",
    "Unit_ID",
    "Unit_Description",
    "Value",
)
HEADER = ",".join(COLUMNS).encode()
# The largest real text is 198 MB (2.1 million rows) and shrinks 18 to 1. Five times the size, and
# ten times the ratio, is a bomb and not a release.
MAX_TEXT_BYTES = 1 << 30
MAX_RATIO = 200
# Packed bytes at a time: about 2 MB of text, which fit into a processor's cache. Eight times as
# much comes from the system anew each time, and takes twice as long.
CHUNK = 1 << 17
# Read from the disk at a time. Each read is an occasion for another thread to take the interpreter,
# and a thread that only unpacks should seldom have to wait for it.
READ = 1 << 22
# Its type information calls the class an object of that class.
DAMAGED = cast("type[Exception]", isal_zlib.error)


class ArchiveError(Exception):
    """The file cannot be used; the message says why, to be read after its address."""


def member_name(file: str) -> str:
    """`psd_alldata_csv.zip` -> `psd_alldata.csv`."""
    return f"{stem(file)}.csv"


def stem(file: str) -> str:
    """`psd_alldata_csv.zip` -> `psd_alldata`."""
    return file.removesuffix(".zip").removesuffix("_csv")


def check(path: Path, file: str) -> str:
    """Read the archive to its end, check what needs no parsing of rows, and identify its text.

    Returns:
        Identity of the CSV text, in hex: its CRC-32 and its length, equal for the same text zipped
        twice. The zip format itself vouches for a text with that sum; SHA-256 of 198 MB would
        take longer than all the rest of the check.

    Raises:
        ArchiveError: not a zip, cut short, a wrong or second member, a bomb, a checksum that does
            not match, other columns, no rows, or a byte that is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    size = 0
    head = b""
    for chunk in read_text(path, file):
        if len(head) <= len(HEADER) + 2:
            head += chunk[: len(HEADER) + 3]
        pending = decoder.getstate()[0]
        # Plain ASCII, which is all that was ever seen, needs no decoding.
        if pending or not chunk.isascii():
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                offset = size - len(pending) + error.start
                raise _not_utf8(path, file, offset, error.object[error.start]) from error
        size += len(chunk)
    if pending := decoder.getstate()[0]:
        raise _not_utf8(path, file, size - len(pending), pending[0])
    first, _, rest = head.partition(b"\n")
    if first.rstrip(b"\r") != HEADER:
        found = first[:200].decode(errors="replace")
        raise ArchiveError(f"has the columns {found!r}, expected {HEADER.decode()!r}")
    if not rest.strip():
        raise ArchiveError("has no rows")
    member, _ = _member(path, file)
    return f"{member.CRC:08x}{size:010x}"


def _not_utf8(path: Path, file: str, offset: int, byte: int) -> ArchiveError:
    line, left = 1, offset
    for chunk in read_text(path, file):
        line += chunk[:left].count(b"\n")
        left -= len(chunk)
        if left <= 0:
            break
    return ArchiveError(f"byte 0x{byte:02x} in line {line:,} is not UTF-8")


def read_text(path: Path, file: str) -> Generator[bytes, None, None]:
    """The CSV text in chunks, checked against length and checksum at the end.

    Raises:
        ArchiveError: as `check`, as far as the zip itself is concerned.
    """
    member, _ = _member(path, file)
    crc = 0
    for chunk in inflate(path, file):
        crc = isal_zlib.crc32(chunk, crc)
        yield chunk
    if crc != member.CRC:
        raise ArchiveError("is damaged: its text does not match its checksum")


def inflate(path: Path, file: str) -> Generator[bytes, None, None]:
    """The CSV text in chunks, its checksum not looked at.

    Raises:
        ArchiveError: as `check`, as far as the zip itself is concerned.
    """
    member, start = _member(path, file)
    stream = isal_zlib.decompressobj(-15)
    size = 0
    left = member.compress_size
    with path.open("rb") as archive:
        archive.seek(start)
        try:
            while left:
                packed = memoryview(archive.read(min(READ, left)))
                if not packed:
                    raise ArchiveError("is cut short")
                left -= len(packed)
                for at in range(0, len(packed), CHUNK):
                    # max_length keeps a lying bomb from filling the memory before it is noticed.
                    chunk = stream.decompress(packed[at : at + CHUNK], member.file_size - size + 1)
                    size += len(chunk)
                    if size > member.file_size or stream.unconsumed_tail:
                        raise ArchiveError("unpacks to more than it declares")
                    yield chunk
        except DAMAGED as error:
            raise ArchiveError(f"is damaged: {error}") from error
    if not stream.eof or size != member.file_size:
        raise ArchiveError("is damaged: its text does not match its checksum")


def ahead(chunks: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    """The same chunks, made by a thread of their own, which is a little ahead.

    ISA-L lets go of the interpreter while it unpacks and sums up.
    """
    made: SimpleQueue[bytes | BaseException | None] = SimpleQueue()
    asked: SimpleQueue[str] = SimpleQueue()

    def make() -> None:
        try:
            with closing(chunks):
                for chunk in chunks:
                    made.put(chunk)
                    if asked.get() == "stop":
                        return
                made.put(None)
        except BaseException as error:  # noqa: BLE001 -- raised where the chunks are asked for
            made.put(error)

    thread = Thread(target=make)
    thread.start()
    try:
        asked.put("more")
        while (chunk := made.get()) is not None:
            if isinstance(chunk, BaseException):
                raise chunk
            asked.put("more")
            yield chunk
    finally:
        asked.put("stop")
        thread.join()


def _member(path: Path, file: str) -> tuple[zipfile.ZipInfo, int]:
    """The one member and where its packed bytes start."""
    with path.open("rb") as archive:
        begin = archive.read(512)
    if not begin.startswith(b"PK\x03\x04"):
        if b"<html" in begin.lower() or b"<!doctype" in begin.lower():
            raise ArchiveError("is an HTML page, not a zip archive")
        raise ArchiveError(f"is not a zip archive: it starts with {begin[:8]!r}")
    try:
        with zipfile.ZipFile(path) as archive_file:
            members = archive_file.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ArchiveError(f"is cut short or damaged: {error}") from error
    expected = member_name(file)
    if len(members) != 1:
        names = ", ".join(sorted(member.filename for member in members)[:5])
        raise ArchiveError(f"holds {len(members)} members ({names}), expected only {expected}")
    member = members[0]
    if member.filename != expected:
        raise ArchiveError(f"holds {member.filename!r}, expected {expected!r}")
    if member.flag_bits & 1:
        raise ArchiveError("is encrypted")
    if member.compress_type != zipfile.ZIP_DEFLATED:
        raise ArchiveError(f"uses the zip method {member.compress_type}, expected 8 (deflate)")
    if member.file_size > MAX_TEXT_BYTES or member.file_size > MAX_RATIO * member.compress_size:
        raise ArchiveError(
            f"would unpack {member.compress_size:,} bytes to {member.file_size:,}: a zip bomb"
        )
    return member, _start(path, member)


def _start(path: Path, member: zipfile.ZipInfo) -> int:
    """Where the packed bytes start: behind a second header, whose length only itself tells."""
    local = b""
    if member.header_offset >= 0:
        with path.open("rb") as archive:
            archive.seek(member.header_offset)
            local = archive.read(30)
    if len(local) < 30 or not local.startswith(b"PK\x03\x04"):
        raise ArchiveError("is damaged: its directory points at nothing")
    name_length, extra_length = struct.unpack("<HH", local[26:30])
    return int(member.header_offset + 30 + name_length + extra_length)
