"""Count the cells of a sheet in an .xlsb workbook, before a reader makes room for all of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO

# Records of a sheet: [MS-XLSB], 2.1.4, 2.4.731 and 2.5.13 of revision 15.0. A row begins with its
# number, a cell with that of its column. 1 is a cell without a value, 2 to 11 are those with one.
ROW, CELLS = 0, range(2, 12)
PLACE = 4  # bytes
CHUNK = 1 << 20


def cells(sheet: IO[bytes]) -> int:
    """The number of cells up to the last one that has a value.

    Raises:
        EOFError: the last record is not whole.
    """
    row = last_row = columns = 0
    for kind, begin in _records(sheet):
        if len(begin) < PLACE:
            continue
        (place,) = struct.unpack("<I", begin)
        if kind == ROW:
            row = place + 1
        else:
            last_row, columns = max(last_row, row), max(columns, place + 1)
    return last_row * columns


def _records(sheet: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Type and first bytes of each row and of each cell with a value."""
    while first := sheet.read(1):
        kind = first[0]
        if kind & 0x80:
            kind = kind & 0x7F | _byte(sheet) << 7
        length = 0
        for shift in (0, 7, 14, 21):
            part = _byte(sheet)
            length |= (part & 0x7F) << shift
            if not part & 0x80:
                break
        wanted = kind == ROW or kind in CELLS
        begin = sheet.read(min(length, PLACE)) if wanted else b""
        length -= len(begin)
        while length:
            if not (skipped := sheet.read(min(length, CHUNK))):
                raise EOFError("a record of a sheet is not whole")
            length -= len(skipped)
        if wanted:
            yield kind, begin


def _byte(sheet: IO[bytes]) -> int:
    if not (found := sheet.read(1)):
        raise EOFError("a record of a sheet is not whole")
    return found[0]
