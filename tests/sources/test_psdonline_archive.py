"""What is refused before any row is parsed, and that a file's own text comes through whole."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import pytest
from fakes.psd import ALL, HEADER, balances, csv_text, zip_rows, zip_text
from fakes.psd_damage import DAMAGES
from materia_psdonline.release_file import archive
from materia_psdonline.release_file.archive import ArchiveError, check, read_text

ROWS = balances("2025-11")
REASONS = {
    "a page": "is an HTML page, not a zip archive",
    "not a zip": "is not a zip archive: it starts with b'Commodit'",
    "cut short": "is cut short or damaged",
    "a wrong checksum": "its text does not match its checksum",
    "damaged inside": "is damaged",
    "a bomb": "a zip bomb",
    "a lying bomb": "unpacks to more than it declares",
    "a second member": r"holds 2 members \(psd_alldata.csv, readme.txt\)",
    "another member": "holds 'psd_coffee.csv', expected 'psd_alldata.csv'",
    "other columns": "has the columns 'Commodity_Code,.*,MarketYear,.*', expected 'Comm",
    "no rows": "has no rows",
    "a byte that is not UTF-8": "byte 0xe9 in line 2 is not UTF-8",
    "a letter cut in two": "byte 0xc3 in line 451 is not UTF-8",
}


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / ALL
    path.write_bytes(content)
    return path


def test_the_header_is_the_one_of_the_real_files() -> None:
    assert archive.HEADER == HEADER


@pytest.mark.parametrize("how", REASONS)
def test_a_damaged_file_is_refused_with_its_reason(tmp_path: Path, how: str) -> None:
    path = write(tmp_path, DAMAGES[how](ROWS))

    with pytest.raises(ArchiveError, match=REASONS[how]):
        check(path, ALL)


def test_every_cut_of_an_archive_is_refused(tmp_path: Path) -> None:
    whole = zip_rows(ROWS[:30])
    for length in range(0, len(whole), 7):
        with pytest.raises(ArchiveError):
            check(write(tmp_path, whole[:length]), ALL)


def test_every_flipped_bit_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    text = csv_text(ROWS[:30])
    whole = zip_text(text)
    content = check(write(tmp_path, whole), ALL)
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 0x10
        path = write(tmp_path, bytes(flipped))
        try:
            found = check(path, ALL)
        except ArchiveError:
            continue
        assert found == content
        assert b"".join(read_text(path, ALL)) == text


def test_letters_beyond_ascii_are_kept_also_where_two_chunks_meet(tmp_path: Path) -> None:
    chance = random.Random(1)  # noqa: S311 -- letters that do not shrink, to fill several chunks
    letters = "".join(chance.choices("àáâãäåæçèéêëìíîï", k=1_000_000)).encode()
    text = csv_text(ROWS) + letters + b"\r\n"
    path = write(tmp_path, zip_text(text))
    chunks = list(read_text(path, ALL))
    assert any(chunk and chunk[-1] == 0xC3 for chunk in chunks)

    assert check(path, ALL)
    assert b"".join(chunks) == text


def test_the_content_is_that_of_the_text_and_not_of_its_wrapping(tmp_path: Path) -> None:
    text = csv_text(ROWS)
    first = check(write(tmp_path, zip_text(text)), ALL)
    again = check(write(tmp_path, zip_text(text, when="2025-11-20 15:02")), ALL)
    other = check(write(tmp_path, zip_text(text.replace(b"10.0000", b"11.0000", 1))), ALL)

    assert first == again == f"{zlib.crc32(text):08x}{len(text):010x}"
    assert other != first


def test_a_bomb_is_noticed_without_unpacking_it(tmp_path: Path) -> None:
    path = write(tmp_path, DAMAGES["a bomb"](ROWS))
    with pytest.raises(ArchiveError, match="zip bomb"):
        next(read_text(path, ALL))


REAL = Path(__file__).resolve().parents[3] / "shared/data/psdonline/archives"


@pytest.mark.skipif(not REAL.is_dir(), reason="USDA's own archives are not on this machine")
@pytest.mark.parametrize(
    "name",
    [
        "2025/11/psd_grains_pulses_csv.zip",
        "2025/11/psd_eu_area_prod_csv.zip",
        "2025/11/psd_russiabreakdown_area_prod_csv.zip",
        "2022/12/psd_coffee_csv.zip",
    ],
)
def test_usdas_own_archives_are_accepted(name: str) -> None:
    path = REAL / name

    assert check(path, path.name)
