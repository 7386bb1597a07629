"""The archive as a folder: a mirror, or the sample."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.psd import ALL, balances, zip_rows
from fakes.psd_damage import DAMAGES
from fakes.psd_november import ARCHIVE, ROWS
from fakes.psd_world import NOW, asked, known_from
from materia.data import (
    Absent,
    Fetched,
    FetchRequest,
    FetchResult,
    Known,
    PartitionsRequest,
    Refused,
    Unchanged,
)
from materia.errors import SourceError
from materia_psdonline.settings import read_settings
from materia_psdonline.source import PsdOnline


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A folder with the releases of 2025-10 and 2025-11."""
    for month in ("10", "11"):
        path = tmp_path / "a mirror" / "2025" / month / ALL
        path.parent.mkdir(parents=True)
        path.write_bytes(ARCHIVE)
    return tmp_path / "a mirror"


@pytest.fixture
def source(mirror: Path, open_source: Callable[..., PsdOnline]) -> PsdOnline:
    return open_source(str(mirror))


@pytest.fixture
def november(mirror: Path) -> Path:
    return mirror / "2025/11" / ALL


@pytest.fixture
def fetch(source: PsdOnline, tmp_path: Path) -> Callable[..., FetchResult]:
    partition = asked(source)[-1]
    (tmp_path / "in").mkdir()

    def fetch_november(known: Known | None = None) -> FetchResult:
        return source.fetch(
            FetchRequest(partition=partition, known=known, directory=tmp_path / "in")
        )

    return fetch_november


def test_a_file_is_copied_and_left_where_it_is(
    november: Path, fetch: Callable[..., FetchResult]
) -> None:
    result = fetch()

    assert isinstance(result, Fetched)
    assert result.path.read_bytes() == november.read_bytes() == ARCHIVE
    assert result.raw.url == november.as_uri()


def test_a_file_that_was_not_touched_is_not_read_again(
    november: Path, fetch: Callable[..., FetchResult]
) -> None:
    known = known_from(fetch())
    november.chmod(0)

    assert fetch(known) == Unchanged(etag=known.etag, last_modified=known.last_modified)


def test_a_file_that_was_touched_is_unchanged_while_its_bytes_are_the_same(
    november: Path, fetch: Callable[..., FetchResult]
) -> None:
    known = known_from(fetch())
    os.utime(november, ns=(1, 1))

    result = fetch(known)

    assert isinstance(result, Unchanged)
    assert result.etag != known.etag


def test_a_file_that_was_rebuilt_is_fetched_again(
    november: Path, fetch: Callable[..., FetchResult]
) -> None:
    known = known_from(fetch())
    november.write_bytes(zip_rows(balances("2025-11", seed=1)))

    result = fetch(known)

    assert isinstance(result, Fetched)
    assert known.raw is not None
    assert result.raw.content != known.raw.content


def test_a_file_that_is_not_there_was_taken_away_by_its_owner(
    november: Path, fetch: Callable[..., FetchResult]
) -> None:
    november.unlink()

    assert fetch() == Absent(removed=True)


def test_a_folder_that_is_not_there_any_more_is_an_error(
    mirror: Path, fetch: Callable[..., FetchResult]
) -> None:
    mirror.rename(mirror.with_name("elsewhere"))

    with pytest.raises(SourceError, match="a mirror does not exist"):
        fetch()


def test_something_that_cannot_be_read_is_an_error(
    november: Path, fetch: Callable[..., FetchResult]
) -> None:
    november.unlink()
    november.mkdir()

    with pytest.raises(SourceError, match="cannot be read: Is a directory"):
        fetch()


def test_a_named_pipe_is_an_error_and_no_wait_for_its_writer(
    november: Path, fetch: Callable[..., FetchResult]
) -> None:
    november.unlink()
    os.mkfifo(november)
    said: list[str] = []

    def ask() -> None:
        with pytest.raises(SourceError) as error:
            fetch()
        said.append(str(error.value))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(20)

    assert said
    assert said[0].endswith("is not a regular file")


def test_a_damaged_file_is_refused_and_a_copy_of_it_kept_aside(
    november: Path, fetch: Callable[..., FetchResult]
) -> None:
    november.write_bytes(DAMAGES["cut short"](ROWS))

    result = fetch()

    assert isinstance(result, Refused)
    assert "is cut short" in result.reason
    assert result.path is not None
    assert result.path.read_bytes() == november.read_bytes()


def test_a_folder_in_which_nothing_is_left_is_an_error_and_takes_nothing_away(
    mirror: Path, november: Path, fetch: Callable[..., FetchResult], tmp_path: Path
) -> None:
    known = known_from(fetch())
    assert known.raw is not None
    november.unlink()  # the folder has one of 2025-10, which is not asked for
    settings = {"base_url": str(mirror), "first_release": "2025-11", "files": [ALL]}
    source = PsdOnline(read_settings(settings, directory=tmp_path))

    with pytest.raises(SourceError, match="has no release since 2025-11"):
        source.partitions(PartitionsRequest(known={known.raw.partition: known}, now=NOW))
