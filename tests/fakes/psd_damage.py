"""Archives of no use, each in its own way, made from good rows."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace

from fakes.psd import Row, csv_text, zip_text
from fakes.usda import HTML


def _page(_rows: Sequence[Row]) -> bytes:
    return HTML


def _not_a_zip(rows: Sequence[Row]) -> bytes:
    return csv_text(rows)


def _cut_short(rows: Sequence[Row]) -> bytes:
    archive = zip_text(csv_text(rows))
    return archive[: len(archive) // 2]


def _wrong_checksum(rows: Sequence[Row]) -> bytes:
    archive = bytearray(zip_text(csv_text(rows)))
    directory = archive.rindex(b"PK\x01\x02")
    archive[directory + 16] ^= 0xFF
    return bytes(archive)


def _damaged_inside(rows: Sequence[Row]) -> bytes:
    archive = bytearray(zip_text(csv_text(rows)))
    archive[len(archive) // 2] ^= 0xFF
    return bytes(archive)


def _bomb(rows: Sequence[Row]) -> bytes:
    return zip_text(csv_text(rows) + b"0" * 5_000_000)


def _lying_bomb(rows: Sequence[Row]) -> bytes:
    """Unpacks to far more than its directory says."""
    archive = bytearray(_bomb(rows))
    directory = archive.rindex(b"PK\x01\x02")
    archive[directory + 24 : directory + 28] = struct.pack("<I", 1000)
    return bytes(archive)


def _second_member(rows: Sequence[Row]) -> bytes:
    out = io.BytesIO(zip_text(csv_text(rows)))
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("readme.txt", "hello")
    return out.getvalue()


def _other_member(rows: Sequence[Row]) -> bytes:
    return zip_text(csv_text(rows), "psd_coffee_csv.zip")


def _other_columns(rows: Sequence[Row]) -> bytes:
    return zip_text(csv_text(rows).replace(b"Market_Year,", b"MarketYear,", 1))


def _no_rows(_rows: Sequence[Row]) -> bytes:
    return zip_text(csv_text([]))


def _not_utf8(rows: Sequence[Row]) -> bytes:
    return zip_text(csv_text(rows).replace(b"Brazil", b"Br\xe9sil", 1))


def _cut_utf8(rows: Sequence[Row]) -> bytes:
    return zip_text(csv_text(rows).rstrip() + b"\xc3")


def _key_twice(rows: Sequence[Row]) -> bytes:
    return zip_text(csv_text([*rows, replace(rows[0], value=rows[0].value + 7)]))


def _no_number(rows: Sequence[Row]) -> bytes:
    text = csv_text(rows)
    end = text.rstrip().rindex(b",")
    return zip_text(text[: end + 1] + b"many\r\n")


DAMAGES: dict[str, Callable[[Sequence[Row]], bytes]] = {
    "a page": _page,
    "not a zip": _not_a_zip,
    "cut short": _cut_short,
    "a wrong checksum": _wrong_checksum,
    "damaged inside": _damaged_inside,
    "a bomb": _bomb,
    "a lying bomb": _lying_bomb,
    "a second member": _second_member,
    "another member": _other_member,
    "other columns": _other_columns,
    "no rows": _no_rows,
    "a byte that is not UTF-8": _not_utf8,
    "a letter cut in two": _cut_utf8,
    "a key twice": _key_twice,
    "a value that is no number": _no_number,
}
