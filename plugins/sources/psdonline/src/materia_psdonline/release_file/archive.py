"""Validate an archive, a zip with one CSV inside, and stream its text.

`X_csv.zip` holds exactly one member `X.csv`, deflated. Its header has been the same in every
release seen (2022 to 2026, and one quoted row of about 2010).
"""

from __future__ import annotations

import codecs
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import cast

from isal import isal_zlib

from materia_psdonline.release_file.csv_header import HEADER, LONGEST, check_header
from materia_psdonline.release_file.zip_member import ArchiveError, find_member

__all__ = ["HEADER", "ArchiveError", "ahead", "check", "inflate", "read_text"]

# Compressed bytes at a time: about 2 MB of text, which fit into a processor's cache. Eight times as
# much needs new memory from the system each time, and takes twice as long.
CHUNK = 1 << 17
# Bytes per read from the disk. At each read another thread can take the interpreter's lock, and a
# thread that only decompresses should seldom wait for it.
READ = 1 << 22
# Its type information calls the class an object of that class.
DAMAGED = cast("type[Exception]", isal_zlib.error)


def check(path: Path, file: str) -> str:
    """Read the whole archive, check everything except rows, and return its identity.

    Returns:
        Identity of the CSV text, in hex: its CRC-32 and its length, equal for the same text zipped
        twice. The zip format itself relies on that checksum; SHA-256 of 198 MB would take longer
        than all the rest of the check.

    Raises:
        ArchiveError: not a zip, cut short, a wrong or second member, a bomb, a checksum that does
            not match, other columns, no rows, or a byte that is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    size = 0
    head = b""
    for chunk in read_text(path, file):
        if len(head) < LONGEST:
            head += chunk[:LONGEST]
        pending = decoder.getstate()[0]
        # Plain ASCII, the only text ever seen, needs no decoding.
        if pending or not chunk.isascii():
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                offset = size - len(pending) + error.start
                raise _not_utf8(path, file, offset, error.object[error.start]) from error
        size += len(chunk)
    if pending := decoder.getstate()[0]:
        raise _not_utf8(path, file, size - len(pending), pending[0])
    check_header(head)
    return f"{find_member(path, file).crc:08x}{size:010x}"


def _not_utf8(path: Path, file: str, offset: int, byte: int) -> ArchiveError:
    line, left = 1, offset
    for chunk in read_text(path, file):
        line += chunk[:left].count(b"\n")
        left -= len(chunk)
        if left <= 0:
            break
    return ArchiveError(f"byte 0x{byte:02x} in line {line:,} is not UTF-8")


def read_text(path: Path, file: str) -> Generator[bytes, None, None]:
    """The CSV text in chunks; length and checksum are checked at the end.

    Raises:
        ArchiveError: the zip is damaged, cut short or malformed.
    """
    member = find_member(path, file)
    crc = 0
    for chunk in inflate(path, file):
        crc = isal_zlib.crc32(chunk, crc)
        yield chunk
    if crc != member.crc:
        raise ArchiveError("is damaged: its text does not match its checksum")


def inflate(path: Path, file: str) -> Generator[bytes, None, None]:
    """The CSV text in chunks, without a check of the checksum.

    Raises:
        ArchiveError: the zip is damaged, cut short or malformed.
    """
    member = find_member(path, file)
    stream = _Stored(member.size) if member.stored else isal_zlib.decompressobj(-15)
    size = 0
    left = member.packed_size
    with path.open("rb") as archive:
        archive.seek(member.start)
        try:
            while left:
                packed = memoryview(archive.read(min(READ, left)))
                if not packed:
                    raise ArchiveError("is cut short")
                left -= len(packed)
                for at in range(0, len(packed), CHUNK):
                    # max_length stops a zip bomb with a false size before it fills the memory.
                    chunk = stream.decompress(packed[at : at + CHUNK], member.size - size + 1)
                    size += len(chunk)
                    if size > member.size or stream.unconsumed_tail:
                        raise ArchiveError("unpacks to more than it declares")
                    yield chunk
        except DAMAGED as error:
            raise ArchiveError(f"is damaged: {error}") from error
    if not stream.eof or size != member.size:
        raise ArchiveError("is damaged: its text does not match its checksum")


class _Stored:
    """A decompressor for stored members, which are not compressed."""

    unconsumed_tail = b""

    def __init__(self, size: int) -> None:
        self._left = size

    @property
    def eof(self) -> bool:
        return self._left == 0

    def decompress(self, packed: memoryview, _max_length: int) -> bytes:
        self._left -= len(packed)
        return bytes(packed)


def ahead(chunks: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    """The same chunks, read ahead by a separate thread.

    ISA-L releases the interpreter's lock while it decompresses and computes the checksum.
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
        except BaseException as error:  # noqa: BLE001 -- raised in the consumer of the chunks
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
