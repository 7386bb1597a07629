"""Archives of no use, and archives that are odd and yet in no doubt, made from good rows."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace

from fakes.psd import HEADER, Row, csv_text, zip_text
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


def edited(rows: Sequence[Row], pattern: bytes, new: bytes) -> bytes:
    """The text of *rows* with the first match of *pattern* changed."""
    text, count = re.subn(pattern, new, csv_text(rows), count=1)
    assert count, pattern
    return text


def _edit(pattern: bytes, new: bytes) -> Callable[[Sequence[Row]], bytes]:
    return lambda rows: zip_text(edited(rows, pattern, new))


def _every(pattern: bytes, new: bytes) -> Callable[[Sequence[Row]], bytes]:
    return lambda rows: zip_text(re.sub(pattern, new, csv_text(rows)))


def _a_later_release(rows: Sequence[Row]) -> bytes:
    return zip_text(csv_text([replace(row, stamp="2099-12") for row in rows]))


# A line of Brazil's corn begins so, and a line ends so.
BRAZIL = rb'0440000,"Corn",BR,"Brazil",'
LAST = rb",(\d+\.\d{4})\r\n"
# Impossible or in doubt by what is in the lines; the reason has a line and these words.
IMPOSSIBLE: dict[str, tuple[Callable[[Sequence[Row]], bytes], str]] = {
    "a later release": (_a_later_release, "edited in 2099-12"),
    "one later stamp": (_edit(rb",20\d\d,\d\d,004,", b",2031,01,004,"), "edited in 2031-01"),
    "a later stamp beside month 00": (
        _edit(rb",20\d\d,\d\d,004,(.*\r\n[^\r]*),20\d\d,\d\d,", rb",2099,00,004,\1,2031,01,"),
        "edited in 2031-01",
    ),
    "a figure of 10^12": (_edit(LAST, b",1000000000000.0000\r\n"), "less than 10^12"),
    "a figure of -10^12": (_edit(LAST, b",-1000000000000\r\n"), "less than 10^12"),
    "the largest figure that fits": (_edit(LAST, b",99999999999999.9999\r\n"), "less than 10^12"),
    "a larger figure": (_edit(LAST, b",999999999999999.9999\r\n"), "less than 10^12"),
    "market year 9999": (_edit(rb'zil",20\d\d', b'zil",9999'), "9999 as Market_Year"),
    "market year 1899": (_edit(rb'zil",20\d\d', b'zil",1899'), "1899 as Market_Year"),
    "market year 2101": (_edit(rb'zil",20\d\d', b'zil",2101'), "2101 as Market_Year"),
    "calendar year 1899": (_edit(rb",20\d\d,\d\d,004", b",1899,10,004"), "1899 as Calendar_Year"),
    "calendar year 2101, month 00": (
        _edit(rb",20\d\d,\d\d,004", b",2101,00,004"),
        "2101 as Calendar_Year",
    ),
    "the world": (_every(rb'BR,"Brazil"', b'00,"World"'), "the sum 00 'World'"),
    "the world by its name": (_every(rb'BR,"Brazil"', b'WD,"World"'), "the sum WD 'World'"),
    "a total": (_every(rb'BR,"Brazil"', b'ZY,"World Total"'), "the sum ZY"),
    "a region": (_every(rb'BR,"Brazil"', b'R4,"South America"'), "the sum R4"),
    "other countries": (_every(rb'BR,"Brazil"', b'OT,"Other Countries"'), "the sum OT"),
    "a subtotal": (_every(rb'BR,"Brazil"', b'SM,"Sub-total, Asia"'), "the sum SM"),
    "a continent": (_every(rb'BR,"Brazil"', b'RG,"Western Europe"'), "the sum RG"),
    "a code of digits": (_every(rb'BR,"Brazil"', b'99,"Brazil"'), "the sum 99"),
    "a code of three letters": (_every(rb",BR,", b",BRA,"), "'BRA' as a country code, expected"),
    "a code in small letters": (_every(rb",BR,", b",br,"), "'br' as a country code, expected"),
    "NUL in a name": (_edit(rb'"Brazil"', b'"Bra\0zil"'), "control character '\\x00'"),
    "ESC in a name": (_edit(rb'"Brazil"', b'"\x1b[2JBrazil"'), "control character '\\x1b'"),
    "letters turned round in a name": (
        _edit(rb'"Brazil"', b'"\xe2\x80\xaelizarB"'),
        "control character '\\u202e'",
    ),
    "a low line in a value": (_edit(LAST, b",1_000.0000\r\n"), "'1_000.0000' as a value"),
    "a plus": (_edit(LAST, b",+7.0000\r\n"), "'+7.0000' as a value"),
    "a blank before a value": (_edit(LAST, b", 7.0000\r\n"), "' 7.0000' as a value"),
    "a blank behind a value": (_edit(LAST, b",7.0000 \r\n"), "'7.0000 ' as a value"),
    "a tab before a value": (_edit(LAST, b",\t7.0000\r\n"), "'\\t7.0000' as a value"),
    "an exponent": (_edit(LAST, b",7E+02\r\n"), "'7E+02' as a value"),
    "a thousands separator": (_edit(LAST, b',"1,000.0000"\r\n'), "'1,000.0000' as a value"),
    "a word": (_edit(LAST, b",many\r\n"), "'many' as a value"),
    "NaN": (_edit(LAST, b",NaN\r\n"), "'NaN' as a value"),
    "infinity": (_edit(LAST, b",-inf\r\n"), "'-inf' as a value"),
    "five decimals": (_edit(LAST, b",1.00001\r\n"), "5 decimals"),
    "a year with a sign": (_edit(rb'zil",20', b'zil",+20'), "Market_Year, expected four digits"),
    "a year with a blank": (_edit(rb'zil",20', b'zil", 20'), "Market_Year, expected four digits"),
    "a year of two digits": (_edit(rb'zil",20', b'zil",'), "Market_Year, expected four digits"),
    "month 13": (_edit(rb",20(\d\d),\d\d,004", rb",20\1,13,004"), "'13' as a month code"),
}


def stored(text: bytes) -> bytes:
    """An archive that does not compress."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("psd_alldata.csv", text)
    return out.getvalue()


def beside(text: bytes, *names: str) -> bytes:
    """An archive with empty members around the good one."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (*names[:1], "psd_alldata.csv", *names[1:]):
            archive.writestr(name, text if name == "psd_alldata.csv" else b"")
    return out.getvalue()


def member_called(text: bytes, name: str) -> bytes:
    """An archive whose one member has that name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return out.getvalue()


def _headed(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda text: zip_text(text.replace(HEADER, change(HEADER), 1))


def ended(text: bytes, feeds: Callable[[int], bool]) -> bytes:
    """The text with a line feed alone behind the lines of which *feeds* says so."""
    lines = text.split(b"\r\n")[:-1]
    return b"".join(
        line + (b"\n" if feeds(number) else b"\r\n") for number, line in enumerate(lines)
    )


# What any reader takes without doubt, from a good text.
ODD: dict[str, Callable[[bytes], bytes]] = {
    "a byte order mark": lambda text: zip_text(b"\xef\xbb\xbf" + text),
    "a quoted header": _headed(lambda head: b'"' + head.replace(b",", b'","') + b'"'),
    "a mark before a quoted header": _headed(
        lambda head: b'\xef\xbb\xbf"' + head.replace(b",", b'","') + b'"'
    ),
    "blanks in the header": _headed(lambda head: head.replace(b",", b" , ") + b" "),
    "small letters in the header": _headed(bytes.lower),
    "a stored member": stored,
    "a member of macOS": lambda text: beside(text, "__MACOSX/._psd_alldata.csv"),
    "two members and a folder of macOS": lambda text: beside(
        text, "__MACOSX/", "__MACOSX/._psd_alldata.csv", ".DS_Store"
    ),
    "a member beside its shadow": lambda text: beside(text, "._psd_alldata.csv"),
    "capitals in the member's name": lambda text: member_called(text, "PSD_AllData.CSV"),
    "line feeds": lambda text: zip_text(ended(text, lambda _: True)),
    "line feeds below the header": lambda text: zip_text(ended(text, lambda number: number > 0)),
    "a header with a line feed": lambda text: zip_text(ended(text, lambda number: number == 0)),
    "seven line feeds": lambda text: zip_text(ended(text, lambda number: number < 7)),
    "one line feed": lambda text: zip_text(ended(text, lambda number: number == 11)),
    "every third a line feed": lambda text: zip_text(ended(text, lambda number: number % 3 == 0)),
    "a last line without an end": lambda text: zip_text(text.rstrip()),
    "blank lines at the end": lambda text: zip_text(text + b"\r\n\r\n"),
}

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
    **{how: make for how, (make, _) in IMPOSSIBLE.items()},
}
