"""Find the CSV member of a zip archive and the offset of its compressed bytes."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from materia_http.verified import UnusableFileError

# The largest real text is 198 MB (2.1 million rows), compressed 18 to 1. Five times the size or ten
# times the ratio is a zip bomb and not a release.
MAX_TEXT_BYTES = 1 << 30
MAX_RATIO = 200
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


class ArchiveError(UnusableFileError):
    """The file cannot be used; the message continues the file's address with the reason."""


@dataclass(frozen=True, slots=True)
class Member:
    """The CSV member of an archive.

    Attributes:
        start: Offset of its first compressed byte.
        packed_size: Number of compressed bytes.
        size: Number of bytes of its text.
        crc: CRC-32 of its text.
        stored: Whether it is stored and not deflated.
    """

    start: int
    packed_size: int
    size: int
    crc: int
    stored: bool


def member_name(file: str) -> str:
    """`psd_alldata_csv.zip` -> `psd_alldata.csv`."""
    return f"{stem(file)}.csv"


def stem(file: str) -> str:
    """`psd_alldata_csv.zip` -> `psd_alldata`."""
    return file.removesuffix(".zip").removesuffix("_csv")


def find_member(path: Path, file: str) -> Member:
    """The one CSV in the archive at *path*.

    Raises:
        ArchiveError: not a zip, cut short, a wrong or second member, or a zip bomb.
    """
    with path.open("rb") as archive:
        begin = archive.read(512)
    if not begin.startswith(b"PK\x03\x04"):
        if b"<html" in begin.lower() or b"<!doctype" in begin.lower():
            raise ArchiveError("is an HTML page, not a zip archive")
        if not begin:
            raise ArchiveError("is empty")
        raise ArchiveError(f"is not a zip archive: it starts with {begin[:8]!r}")
    try:
        with zipfile.ZipFile(path) as archive_file:
            members = [one for one in archive_file.infolist() if not _beside(one)]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ArchiveError(f"is cut short or damaged: {error}") from error
    expected = member_name(file)
    if len(members) != 1:
        names = ", ".join(sorted(member.filename for member in members)[:5])
        raise ArchiveError(f"holds {len(members)} members ({names}), expected only {expected}")
    member = members[0]
    if member.filename.casefold() != expected.casefold():
        raise ArchiveError(f"holds {member.filename!r}, expected {expected!r}")
    if member.flag_bits & 1:
        raise ArchiveError("is encrypted")
    if member.compress_type not in METHODS:
        raise ArchiveError(
            f"uses the zip method {member.compress_type}, expected 8 (deflate) or 0 (stored)"
        )
    if member.file_size > MAX_TEXT_BYTES or member.file_size > MAX_RATIO * member.compress_size:
        raise ArchiveError(
            f"would unpack {member.compress_size:,} bytes to {member.file_size:,}: a zip bomb"
        )
    return Member(
        start=_start(path, member),
        packed_size=member.compress_size,
        size=member.file_size,
        crc=member.CRC,
        stored=member.compress_type == zipfile.ZIP_STORED,
    )


def _beside(member: zipfile.ZipInfo) -> bool:
    """Whether it is a file that macOS adds to an archive."""
    name = PurePosixPath(member.filename)
    return "__MACOSX" in name.parts[:1] or name.name.startswith("._") or name.name == ".DS_Store"


def _start(path: Path, member: zipfile.ZipInfo) -> int:
    """The offset of the compressed bytes, after the local header of variable length."""
    local = b""
    if member.header_offset >= 0:
        with path.open("rb") as archive:
            archive.seek(member.header_offset)
            local = archive.read(30)
    if len(local) < 30 or not local.startswith(b"PK\x03\x04"):
        raise ArchiveError("is damaged: its directory points to nothing")
    name_length, extra_length = struct.unpack("<HH", local[26:30])
    return int(member.header_offset + 30 + name_length + extra_length)
