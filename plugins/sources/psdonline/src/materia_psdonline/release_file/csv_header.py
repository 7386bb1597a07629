"""CSV header of a release: check the twelve columns, and normalize the line."""

from __future__ import annotations

import codecs
from collections.abc import Generator, Iterable

from materia_psdonline.release_file.zip_member import ArchiveError

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
# A header with a byte order mark, quotes and blanks has about 230 bytes.
LONGEST = 1000


def names_the_columns(line: bytes) -> bool:
    """Whether the *line* names the columns in their order.

    A byte order mark, quotes, blanks around a name and the case of its letters are harmless. An
    extra, missing or moved column is not.
    """
    text = line.removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n").decode(errors="replace")
    names = [name.strip(" \t") for name in text.split(",")]
    plain = [name[1:-1].strip(" \t") if _quoted(name) else name for name in names]
    return [name.casefold() for name in plain] == [name.casefold() for name in COLUMNS]


def _quoted(name: str) -> bool:
    return len(name) > 1 and name.startswith('"') and name.endswith('"')


def check_header(head: bytes) -> None:
    """Check the first line of a text.

    Raises:
        ArchiveError: it does not begin with the columns, or has no rows below them.
    """
    first, _, rest = head.partition(b"\n")
    if not names_the_columns(first):
        found = first[:200].rstrip(b"\r").decode(errors="replace")
        raise ArchiveError(f"has the columns {found!r}, expected {HEADER.decode()!r}")
    if not rest.strip():
        raise ArchiveError("has no rows")


def with_plain_header(chunks: Iterable[bytes]) -> Generator[bytes, None, None]:
    """The same text with USDA's own header, and the line end of the original."""
    head = b""
    pieces = iter(chunks)
    for chunk in pieces:
        head += chunk
        if b"\n" in head or len(head) > LONGEST:
            break
    first, end, rest = head.partition(b"\n")
    if names_the_columns(first):
        head = HEADER + (b"\r" if first.endswith(b"\r") else b"") + end + rest
    yield head
    yield from pieces
