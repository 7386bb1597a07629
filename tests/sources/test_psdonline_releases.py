from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from fakes.psd import ALL, zip_rows
from fakes.psd import balances as made
from materia.data import Known, PartitionsRequest, RawFile
from materia.errors import ConfigError, SourceError
from materia_psdonline.releases import key_of, months, release_of
from materia_psdonline.source import PsdOnline

NOW = datetime(2025, 11, 20, tzinfo=UTC)
URL = "http://127.0.0.1:1"


def known(month: str, *, raw: bool = True, refused: str | None = None, days: int = 1) -> Known:
    """What is known of a release that was last asked for *days* ago."""
    url = f"{URL}/{month[:4]}/{month[5:]}/{ALL}"
    file = RawFile(
        partition=f"{month}/psd_alldata",
        file=ALL,
        url=url,
        sha256="00",
        content="00",
        size=1,
        etag='"1:0"',
        last_modified=None,
        fetched_at=NOW,
    )
    return Known(
        url=url,
        checked_at=NOW - timedelta(days=days),
        raw=file if raw else None,
        refused=refused,
    )


def all_known(**different: Known) -> dict[str, Known]:
    """Everything from 2020-01 to 2025-11 is in use; *different* by month, `m2025_10`."""
    every = [f"{month:%Y-%m}" for month in months(date(2020, 1, 1), NOW.date())]
    found = {month: known(month) for month in every}
    found |= {name[1:].replace("_", "-"): value for name, value in different.items()}
    return {f"{month}/psd_alldata": value for month, value in found.items()}


def due(source: PsdOnline, have: dict[str, Known], *, everything: bool = False) -> list[str]:
    request = PartitionsRequest(known=have, now=NOW, everything=everything)
    return [partition.key[:7] for partition in source.partitions(request)]


@pytest.fixture
def source(open_source: Callable[..., PsdOnline]) -> PsdOnline:
    return open_source(URL, first_release="2020-01")


def test_at_first_every_month_up_to_this_one_is_asked_for(source: PsdOnline) -> None:
    asked = due(source, {})

    assert len(asked) == 71
    assert (asked[0], asked[-1]) == ("2020-01", "2025-11")


def test_the_newest_twelve_releases_are_checked_at_every_run(source: PsdOnline) -> None:
    assert due(source, all_known()) == [f"2024-{n:02}" for n in (12,)] + [
        f"2025-{n:02}" for n in range(1, 12)
    ]


def test_months_after_the_newest_release_are_asked_for_until_they_are_there(
    source: PsdOnline,
) -> None:
    have = all_known(m2025_11=known("2025-11", raw=False))

    assert due(source, have)[-1] == "2025-11"


def test_a_month_that_never_had_a_release_is_remembered(source: PsdOnline) -> None:
    have = all_known(m2025_10=known("2025-10", raw=False), m2021_01=known("2021-01", raw=False))
    asked = due(source, have)

    assert "2025-10" not in asked
    assert "2021-01" not in asked
    assert len(asked) == 12


def test_after_a_month_everything_settled_is_looked_at_once_more(source: PsdOnline) -> None:
    have = all_known(
        m2021_01=known("2021-01", raw=False, days=31), m2021_02=known("2021-02", days=31)
    )

    assert due(source, have)[:2] == ["2021-01", "2021-02"]


def test_a_release_in_quarantine_is_asked_for_again(source: PsdOnline) -> None:
    have = all_known(m2021_01=known("2021-01", raw=False, refused="is cut short"))

    assert "2021-01" in due(source, have)


def test_at_another_address_everything_is_asked_for_again(
    open_source: Callable[..., PsdOnline],
) -> None:
    source = open_source("http://127.0.0.1:2", first_release="2020-01")

    assert len(due(source, all_known())) == 71


def test_everything_is_asked_for_on_request(source: PsdOnline) -> None:
    assert len(due(source, all_known(), everything=True)) == 71


def test_a_first_release_that_is_still_to_come_is_a_mistake(
    tmp_path: Path, open_source: Callable[..., PsdOnline]
) -> None:
    for base in (URL, str(tmp_path)):
        source = open_source(base, first_release="2025-12")

        with pytest.raises(ConfigError, match=r"first_release must be a month that has begun, is "):
            due(source, {})


def test_each_file_of_a_release_is_a_partition_of_its_own(
    open_source: Callable[..., PsdOnline],
) -> None:
    files = (ALL, "psd_eu_area_prod_csv.zip")
    source = open_source(URL, first_release="2025-10", files=files)
    asked = source.partitions(PartitionsRequest(known={}, now=NOW))

    assert [(one.key, one.url) for one in asked] == [
        ("2025-10/psd_alldata", f"{URL}/2025/10/{ALL}"),
        ("2025-10/psd_eu_area_prod", f"{URL}/2025/10/psd_eu_area_prod_csv.zip"),
        ("2025-11/psd_alldata", f"{URL}/2025/11/{ALL}"),
        ("2025-11/psd_eu_area_prod", f"{URL}/2025/11/psd_eu_area_prod_csv.zip"),
    ]


def test_a_key_says_release_and_archive() -> None:
    key = key_of(date(2025, 11, 1), ALL)

    assert key == "2025-11/psd_alldata"
    assert release_of(key) == (date(2025, 11, 1), "psd_alldata")


def test_in_a_folder_only_what_is_there_is_asked_for(
    tmp_path: Path, open_source: Callable[..., PsdOnline]
) -> None:
    for month in ("2025/08", "2025/11"):
        path = tmp_path / month / ALL
        path.parent.mkdir(parents=True)
        path.write_bytes(zip_rows(made("2025-08")))
    source = open_source(str(tmp_path))

    assert due(source, {}) == ["2025-08", "2025-11"]
    # One that was there and is not any more is asked for, to learn just that.
    assert due(source, {"2025-09/psd_alldata": known("2025-09")}) == [
        "2025-08",
        "2025-09",
        "2025-11",
    ]


def test_a_folder_without_any_release_is_an_error_that_says_what_is_looked_for(
    tmp_path: Path, open_source: Callable[..., PsdOnline]
) -> None:
    source = open_source(str(tmp_path))

    with pytest.raises(SourceError, match="has no release since 2025-06, for example 2025/06/psd_"):
        due(source, {})
