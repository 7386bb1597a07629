"""Declared sources keep exact history: each release row for row, and the revisions of slices."""

from __future__ import annotations

import csv
import io
import random
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from fakes.snapshot_files import PRICES, Shelf, with_
from materia_snapshots import Months, Years

RELEASES = with_(
    PRICES, each="release", partitions=Months("{year}-{month:02}.csv", since="2025-01")
)
MONTHS = [f"2025-{month:02}" for month in range(1, 13)]
Rows = list[tuple[str, str]]


def text(rows: Rows) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([("item", "price"), *rows])
    return file.getvalue()


def a_year(seed: int) -> dict[str, Rows]:
    """Releases in which items come, go, come back and change; some months change nothing."""
    chance = random.Random(seed)  # noqa: S311 -- figures of a test
    items = {f"item {number}": "1.00" for number in range(30)}
    year = {}
    for month in MONTHS:
        if chance.random() > 0.2:
            for _ in range(6):
                item = f"item {chance.randrange(40)}"
                if items.pop(item, None) is None or chance.random() < 0.6:
                    items[item] = chance.choice(["1.00", "2.00", "3.50", ""])
        year[month] = sorted(items.items())
    return year


def as_typed(rows: Rows) -> list[tuple[str, str | None]]:
    return sorted((item, price or None) for item, price in rows)


def as_of(shelf: Shelf, when: str) -> list[tuple[object, ...]]:
    return shelf.rows(f"SELECT item, price::VARCHAR FROM prices_as_of({when}) ORDER BY item")


@pytest.fixture(scope="module")
def whole_year(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shelf, dict[str, Rows]]:
    """A year of releases, loaded in their order."""
    shelf = Shelf(tmp_path_factory.mktemp("year"), RELEASES, since="2025-01")
    year = a_year(1)
    for month, rows in year.items():
        shelf.put(month, text(rows))
    shelf.load()
    return shelf, year


def test_each_release_of_a_year_is_given_back_row_for_row(
    whole_year: tuple[Shelf, dict[str, Rows]],
) -> None:
    shelf, year = whole_year

    for month, rows in year.items():
        assert as_of(shelf, f"'{month}'") == as_typed(rows), month


def test_a_row_that_does_not_change_is_kept_once(
    whole_year: tuple[Shelf, dict[str, Rows]],
) -> None:
    shelf, year = whole_year
    kept = shelf.rows("SELECT 1 FROM raw.prices_change")

    assert len(kept) < sum(map(len, year.values())) / 3


def test_as_of_takes_a_year_a_date_or_a_month_without_a_release(
    whole_year: tuple[Shelf, dict[str, Rows]],
) -> None:
    shelf, year = whole_year

    assert as_of(shelf, "'2025'") == as_typed(year["2025-12"])
    assert as_of(shelf, "DATE '2025-03-31'") == as_typed(year["2025-03"])
    assert as_of(shelf, "'2026-02'") == as_typed(year["2025-12"])
    assert as_of(shelf, "'2025-Q2'") == as_typed(year["2025-06"])


@pytest.mark.parametrize(
    ("when", "said"),
    [("'2024-12'", "the oldest release is 2025-01-01"), ("'soon'", "give a release such as")],
)
def test_as_of_says_what_it_cannot_give(
    whole_year: tuple[Shelf, dict[str, Rows]], when: str, said: str
) -> None:
    shelf, _ = whole_year

    with pytest.raises(duckdb.Error, match=said):
        as_of(shelf, when)


def test_the_history_says_since_when_and_until_when_a_row_stood(
    whole_year: tuple[Shelf, dict[str, Rows]],
) -> None:
    shelf, year = whole_year
    spans = shelf.rows(
        "SELECT item, price::VARCHAR, first_release, end_release FROM raw.prices_history"
    )

    for month, rows in year.items():
        day = f"{month}-01"
        then = sorted(
            (str(item), price)
            for item, price, first, end in spans
            if str(first) <= day and (end is None or str(end) > day)
        )
        assert then == as_typed(rows), month


@pytest.mark.parametrize(
    "seed", [2, *(pytest.param(seed, marks=pytest.mark.campaign) for seed in range(3, 9))]
)
def test_whatever_the_order_of_loading_replacing_and_removing_the_history_is_the_same(
    seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)  # noqa: S311 -- figures of a test
    first, second = a_year(seed), a_year(seed + 100)
    shelf = Shelf(tmp_path, RELEASES, since="2025-01")
    every = "SELECT *, 'row' FROM raw.prices_row ORDER BY ALL"
    history = "SELECT * FROM raw.prices_history ORDER BY ALL"
    for _ in range(5):
        for month in chance.sample(MONTHS, 3):
            if month in shelf.raw and chance.random() < 0.4:
                shelf.drop(month)
            else:
                shelf.put(month, text(chance.choice([first, second])[month]))
        shelf.load()
        at_once = tmp_path / "at once.duckdb"
        at_once.unlink(missing_ok=True)
        shelf.load(database=at_once)
        assert shelf.rows(every) == shelf.rows(every, database=at_once)
        assert shelf.rows(history) == shelf.rows(history, database=at_once)


def test_only_a_changed_release_and_the_next_one_are_affected(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, RELEASES, since="2025-01")
    year = a_year(4)
    for month in MONTHS[:4]:
        shelf.put(month, text(year[month]))
    shelf.load()
    published = tmp_path / "published.duckdb"
    shelf.database.rename(published)
    shelf.load()
    assert shelf.load(published=published).affected == ()

    shelf.put("2025-02", text([("item 1", "9.00")]))
    report = shelf.load(published=published)

    assert [f"{day:%Y-%m}" for day in report.affected] == ["2025-02", "2025-03"]


def test_a_corrected_release_counts_the_rows_that_differ_from_its_own_before(
    tmp_path: Path,
) -> None:
    shelf = Shelf(tmp_path, RELEASES)
    shelf.put("2025-01", text([("nails", "1.00"), ("screws", "2.00")]))
    assert shelf.load().rows_added == 2
    shelf.put("2025-01", text([("nails", "1.00"), ("screws", "2.50"), ("bolts", "3.00")]))
    report = shelf.load()

    assert (report.rows_added, report.rows_ended) == (2, 1)


def test_the_revisions_of_a_slice_are_kept_with_the_rows_before(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, PRICES)
    shelf.put("2026-01", text([("nails", "1.00"), ("screws", "2.00")]))
    shelf.load()
    ((before,),) = shelf.rows("SELECT max(seen)::VARCHAR FROM raw.prices_file")
    shelf.put("2026-01", text([("nails", "1.50"), ("screws", "2.00"), ("bolts", "3.00")]))
    shelf.put("2026-02", text([("nails", "1.75")]))
    report = shelf.load()

    assert (report.rows_added, report.rows_ended) == (3, 1)
    assert as_of(shelf, f"'{before}'") == [("nails", "1.00"), ("screws", "2.00")]
    assert as_of(shelf, "'2020-01-01'") == []
    assert as_of(shelf, "'2999-01-01'") == [
        ("bolts", "3.00"),
        ("nails", "1.50"),
        ("nails", "1.75"),
        ("screws", "2.00"),
    ]
    assert shelf.rows(
        "SELECT change, item, price::VARCHAR FROM raw.prices_history ORDER BY ALL"
    ) == [(-1, "nails", "1.00"), (1, "bolts", "3.00"), (1, "nails", "1.50")]


def test_a_slice_that_went_and_came_back_is_known_for_both_times(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, PRICES)
    times = []
    for rows in ([("nails", "1.00")], [("nails", "2.00")], [], [("nails", "2.00")]):
        if rows:
            shelf.put("2026-01", text(rows))
        else:
            shelf.drop("2026-01")
        shelf.load()
        with duckdb.connect() as connection:
            times.append(connection.execute("SELECT now()::TIMESTAMP::VARCHAR").fetchall()[0][0])

    known = [[price for _, price in as_of(shelf, f"'{time}'")] for time in times]
    assert known == [["1.00"], ["2.00"], [], ["2.00"]]
    assert as_of(shelf, "'2020-01-01'") == []


def test_the_days_of_a_slice_are_affected_as_far_as_they_have_come(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, PRICES)
    shelf.put("2026-01", text([("nails", "1.00")]))
    days = shelf.load().affected

    assert (len(days), f"{days[0]}", f"{days[-1]}") == (31, "2026-01-01", "2026-01-31")


def test_another_declaration_loads_everything_anew_and_leaves_other_tables_alone(
    tmp_path: Path,
) -> None:
    shelf = Shelf(tmp_path, PRICES)
    shelf.put("2026-01", text([("nails", "1.00")]))
    shelf.load()
    with duckdb.connect(str(shelf.database)) as connection:
        connection.execute("CREATE TABLE raw.other AS SELECT 1 AS one")
    shelf.declared = with_(PRICES, columns={"item": "TEXT", "price": "TEXT"})
    report = shelf.load()

    assert report.loaded == ("2026-01",)
    assert shelf.load().loaded == ()
    assert shelf.rows("SELECT price FROM raw.prices_row") == [("1.00",)]
    assert shelf.rows("FROM raw.other") == [(1,)]


def test_a_file_with_less_than_half_of_the_rows_before_is_remarked(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, PRICES)
    shelf.put("2026-01", text([(f"item {number}", "1.00") for number in range(9)]))
    shelf.put("2026-02", text([("item 1", "1.00")]))
    assert shelf.load().remarks == {"2026-02": ["holds 1 of the 9 rows that 2026-01 had before"]}
    published = tmp_path / "published.duckdb"
    shelf.database.rename(published)
    shelf.put("2026-01", text([("item 1", "1.01")]))
    remarks = shelf.load(published=published).remarks

    assert remarks == {"2026-01": ["holds 1 of the 9 rows that it had before"]}


def test_a_period_that_is_not_over_may_have_fewer_rows(tmp_path: Path) -> None:
    today = datetime.now(UTC).year
    yearly = with_(PRICES, partitions=Years("{year}.csv", since=f"{today - 1}"))
    shelf = Shelf(tmp_path, yearly)
    for year, rows in ((today - 1, 9), (today, 1)):
        (shelf.folder / f"{year}.csv").write_text(text([(f"{row}", "1.00") for row in range(rows)]))
        shelf.fetch(f"{year}")

    assert shelf.load().remarks == {}
