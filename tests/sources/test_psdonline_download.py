"""Over HTTP: a release that is downloaded whole, in parts, cut short, or not there at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.psd import COUNTRIES, balances, zip_rows
from fakes.psd_november import ARCHIVE, NOVEMBER, Fetch
from fakes.psd_world import asked
from fakes.usda import Fault, UsdaServer
from materia.data import Absent, Fetched, FetchRequest, Refused
from materia.errors import SourceError
from materia_psdonline.source import PsdOnline


def test_a_release_is_fetched_whole_with_what_the_server_says_of_it(
    usda: UsdaServer, fetch: Fetch, tmp_path: Path
) -> None:
    file = usda.publish(NOVEMBER, ARCHIVE)

    result = fetch()

    assert isinstance(result, Fetched)
    assert result.path.read_bytes() == ARCHIVE
    assert result.raw.url == f"{usda.base_url}/{NOVEMBER}"
    assert (result.raw.etag, result.raw.last_modified) == (file.etag, file.last_modified)
    assert list((tmp_path / "in").iterdir()) == [result.path]


@pytest.mark.parametrize("status", [404, 410])
def test_a_month_without_a_release_is_absent_after_one_request(
    usda: UsdaServer, fetch: Fetch, status: int
) -> None:
    usda.fail(Fault(kind="status", status=status))

    assert fetch() == Absent()
    assert len(usda.requests) == 1


@pytest.mark.parametrize("kind", ["reset", "short", "stall"])
def test_a_body_that_breaks_off_is_continued_where_it_broke(
    usda: UsdaServer, fetch: Fetch, kind: str
) -> None:
    file = usda.publish(NOVEMBER, ARCHIVE)
    usda.fail(Fault(kind=kind, after=500, times=1))  # type: ignore[arg-type]
    told: list[int] = []

    result = fetch(received=told.append)

    assert isinstance(result, Fetched)
    assert result.path.read_bytes() == ARCHIVE
    first, second = usda.requests
    assert first.sent == 500
    arrived = int(second.headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
    # A reset may throw away what the client had not read yet.
    assert arrived == 500 or (kind == "reset" and arrived in {0, 500})
    if arrived:
        assert second.headers["if-range"] == file.etag
        assert (second.status, second.sent) == (206, len(ARCHIVE) - 500)
        assert sum(told) == len(ARCHIVE)


def test_a_file_that_changed_between_two_attempts_is_taken_from_its_start(
    usda: UsdaServer, fetch: Fetch
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    usda.fail(Fault(kind="short", after=500, times=1))
    newer = zip_rows(balances("2025-11", seed=1))

    def publish_newer(_count: int) -> None:
        if usda.files[NOVEMBER].content != newer:
            usda.publish(NOVEMBER, newer)

    result = fetch(received=publish_newer)

    assert isinstance(result, Fetched)
    assert result.path.read_bytes() == newer
    assert [request.status for request in usda.requests] == [200, 200]


def test_a_server_without_parts_is_asked_for_the_whole_again(
    usda: UsdaServer, fetch: Fetch
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    usda.fail(Fault(kind="ignore range"))
    usda.fail(Fault(kind="short", after=500, times=1))

    result = fetch()

    assert isinstance(result, Fetched)
    assert result.path.read_bytes() == ARCHIVE
    assert [request.status for request in usda.requests] == [200, 200]


@pytest.mark.parametrize("kind", ["reset", "short", "stall", "hang up"])
def test_a_body_that_never_comes_whole_is_an_error_and_leaves_no_file(
    usda: UsdaServer, fetch: Fetch, tmp_path: Path, kind: str
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    usda.fail(Fault(kind=kind, after=10))  # type: ignore[arg-type]

    with pytest.raises(SourceError, match=rf"{NOVEMBER}: .*\(4 attempts\)"):
        fetch()
    assert list((tmp_path / "in").iterdir()) == []


def test_a_length_that_is_too_small_is_a_file_cut_short(usda: UsdaServer, fetch: Fetch) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    usda.fail(Fault(kind="understated", after=900))

    result = fetch()

    assert isinstance(result, Refused)
    assert "is cut short or damaged" in result.reason


def test_a_length_that_is_too_large_is_a_file_that_never_comes_whole(
    usda: UsdaServer, fetch: Fetch
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    usda.fail(Fault(kind="overstated", after=len(ARCHIVE) + 1))

    with pytest.raises(SourceError, match=rf"{NOVEMBER}: .*\(4 attempts\)"):
        fetch()


def test_something_without_an_end_is_refused_before_it_arrives(
    usda: UsdaServer, fetch: Fetch, tmp_path: Path
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    usda.fail(Fault(kind="overstated", after=1 << 30))

    assert fetch() == Refused(
        reason="is larger than 536,870,912 bytes: not a file of this source",
        etag=None,
        last_modified=None,
        path=None,
    )
    assert list((tmp_path / "in").iterdir()) == []


def test_a_redirect_is_followed_and_the_address_stays_the_one_asked_for(
    usda: UsdaServer, fetch: Fetch
) -> None:
    usda.publish("moved.zip", ARCHIVE)
    usda.fail(Fault(kind="redirect", path=NOVEMBER, to=f"{usda.base_url}/moved.zip"))

    result = fetch()

    assert isinstance(result, Fetched)
    assert result.raw.url == f"{usda.base_url}/{NOVEMBER}"


def test_a_redirect_in_a_circle_is_an_error(usda: UsdaServer, fetch: Fetch) -> None:
    usda.fail(Fault(kind="redirect", to=f"{usda.base_url}/{NOVEMBER}"))

    with pytest.raises(SourceError, match=rf"{NOVEMBER}: .*redirect"):
        fetch()


def test_a_page_with_status_200_is_refused_and_kept_aside(usda: UsdaServer, fetch: Fetch) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    usda.fail(Fault(kind="html"))

    result = fetch()

    assert isinstance(result, Refused)
    assert result.reason == "is an HTML page, not a zip archive"
    assert result.path is not None
    assert result.path.read_bytes().startswith(b"<!DOCTYPE html>")


def test_progress_is_told_in_bytes_while_they_arrive(usda: UsdaServer, fetch: Fetch) -> None:
    archive = zip_rows(balances("2025-11", years=range(1900, 2026), countries=COUNTRIES))
    usda.publish(NOVEMBER, archive)
    told: list[int] = []

    fetch(received=told.append)

    assert sum(told) == len(archive)
    assert len(told) > 1


def test_a_disk_that_takes_no_more_is_an_error_that_says_so(
    usda: UsdaServer, source: PsdOnline
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    with pytest.raises(SourceError, match="cannot write it to"):
        source.fetch(
            FetchRequest(partition=asked(source)[-1], known=None, directory=Path("/proc/none"))
        )
