"""Partitions by date: keys, days and paths of the files of a declared source."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from fakes.snapshot_files import PRICES, Shelf, with_
from materia_snapshots import Listed, Months, Quarters

QUARTERLY = with_(
    PRICES, partitions=Quarters("{year}q{quarter}_{last:%m%d}.csv", since="2025-Q3"), each="release"
)


def test_a_quarter_has_its_key_its_days_and_its_path() -> None:
    periods = list(Quarters("{year}/q{quarter}", since="").periods("2025-Q3", date(2026, 4, 1)))

    assert [(one.key, one.path, one.first, one.last) for one in periods] == [
        ("2025-Q3", "2025/q3", date(2025, 7, 1), date(2025, 9, 30)),
        ("2025-Q4", "2025/q4", date(2025, 10, 1), date(2025, 12, 31)),
        ("2026-Q1", "2026/q1", date(2026, 1, 1), date(2026, 3, 31)),
        ("2026-Q2", "2026/q2", date(2026, 4, 1), date(2026, 6, 30)),
    ]


@pytest.mark.parametrize("since", ["2025", "2025-Q5", "2025-07", "0000-Q1", "2025-q3", ""])
def test_what_is_no_quarter_is_refused(since: str) -> None:
    with pytest.raises(ValueError, match="since must be a quarter such as 2024-Q1, is"):
        with_(QUARTERLY, partitions=Quarters("{year}-{quarter}.csv", since=since))


def test_releases_by_quarter_have_the_history_of_their_rows(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, QUARTERLY)
    for key, price in {"2026-Q1": 3, "2025-Q3": 1, "2025-Q4": 2}.items():
        shelf.put(key, f"item,price\nnails,{price}.00\n")
    assert shelf.load().affected == (date(2025, 7, 1), date(2025, 10, 1), date(2026, 1, 1))
    shelf.drop("2025-Q4")
    shelf.load()

    assert (shelf.folder / "2025q4_1231.csv").is_file()
    for when, price in {"2025-09-30": 1, "2025-12-31": 1, "2026-01-01": 3, "2026": 3}.items():
        rows = shelf.rows(f"SELECT item, price::INT FROM prices_as_of('{when}')")
        assert rows == [("nails", price)], when


def test_releases_leave_when_the_kind_of_partitions_is_another(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, with_(QUARTERLY, partitions=Months("{date}.csv", since="2025-07")))
    shelf.put("2025-08", "item,price\nnails,1.00\n")
    shelf.load()
    shelf.declared, shelf.raw = QUARTERLY, {}
    shelf.put("2025-Q3", "item,price\nscrews,1.00\n")
    report = shelf.load()

    assert (report.removed, report.loaded) == (("2025-08",), ("2025-Q3",))
    assert shelf.rows("SELECT item FROM prices_as_of('2026')") == [("screws",)]
    assert shelf.rows("SELECT count(*) FROM raw.prices_history") == [(1,)]


def test_a_file_that_its_server_overwrites_has_its_states_by_the_time_of_their_load(
    tmp_path: Path,
) -> None:
    shelf = Shelf(tmp_path, with_(PRICES, partitions=Listed("latest.csv", keys=("latest",))))
    times = []
    for price in ("1.00", "2.00"):
        shelf.put("latest", f"item,price\nnails,{price}\n")
        shelf.load()
        times.append(datetime.now(UTC).replace(tzinfo=None))
    found = [shelf.rows(f"SELECT price::VARCHAR FROM prices_as_of('{when}')") for when in times]

    assert found == [[("1.00",)], [("2.00",)]]


def test_a_release_that_is_corrected_at_its_address_has_the_corrected_rows(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, QUARTERLY)
    for key, price in (("2025-Q3", "1.00"), ("2025-Q4", "2.00"), ("2025-Q3", "1.50")):
        shelf.put(key, f"item,price\nnails,{price}\n")
        shelf.load()
    found = [
        shelf.rows(f"SELECT price::VARCHAR FROM prices_as_of('{when}')")
        for when in ("2025-07-01", "2025-10-01")
    ]

    assert found == [[("1.50",)], [("2.00",)]]
