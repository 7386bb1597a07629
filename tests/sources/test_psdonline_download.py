"""Over HTTP, against a server of our own: what is asked, how often, and what comes of it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from fakes.psd import COUNTRIES, balances, csv_text, zip_rows, zip_text
from fakes.psd_world import asked, known_from
from fakes.usda import Fault, UsdaServer
from materia.errors import SourceError
from materia.model import Absent, Fetched, FetchRequest, FetchResult, Known, Refused, Unchanged
from materia_psdonline.download import Patience
from materia_psdonline.source import PsdOnline

NOVEMBER = "2025/11/psd_alldata_csv.zip"
ROWS = balances("2025-11")
ARCHIVE = zip_rows(ROWS)
Fetch = Callable[..., FetchResult]


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


def test_an_unchanged_release_costs_one_conditional_request_and_no_bytes(
    usda: UsdaServer, fetch: Fetch
) -> None:
    file = usda.publish(NOVEMBER, ARCHIVE)
    known = known_from(fetch())
    count = len(usda.requests)

    result = fetch(known=known)

    assert result == Unchanged(etag=file.etag, last_modified=file.last_modified)
    [request] = usda.since(count)
    assert request.headers["if-none-match"] == file.etag
    assert request.headers["if-modified-since"] == file.last_modified
    assert (request.status, request.sent) == (304, 0)


def test_an_unchanged_release_costs_no_bytes_from_a_server_without_etags(
    usda: UsdaServer, fetch: Fetch
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    usda.fail(Fault(kind="no etag"))
    known = known_from(fetch())
    assert known.etag is None
    count = len(usda.requests)

    assert isinstance(fetch(known=known), Unchanged)
    assert [(request.status, request.sent) for request in usda.since(count)] == [(304, 0)]


def test_a_server_that_ignores_conditions_is_left_before_the_body(
    usda: UsdaServer, fetch: Fetch
) -> None:
    text = csv_text(balances("2025-11", years=range(1960, 2026)))
    file = usda.publish(NOVEMBER, zip_text(text))
    known = known_from(fetch())
    usda.fail(Fault(kind="ignore conditions"))
    told: list[int] = []

    result = fetch(known=known, received=told.append)

    assert result == Unchanged(etag=file.etag, last_modified=file.last_modified)
    assert told == []


def test_an_identical_file_under_a_new_etag_is_unchanged_with_that_etag(
    usda: UsdaServer, fetch: Fetch, tmp_path: Path
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    first = fetch()
    known = known_from(first)
    assert isinstance(first, Fetched)
    first.path.unlink()
    again = usda.publish(NOVEMBER, ARCHIVE)
    assert again.etag != known.etag

    assert fetch(known=known) == Unchanged(etag=again.etag, last_modified=again.last_modified)
    assert list((tmp_path / "in").iterdir()) == []


def test_the_same_rows_zipped_anew_have_the_same_content(usda: UsdaServer, fetch: Fetch) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    first = fetch()
    usda.publish(NOVEMBER, zip_rows(ROWS, when="2025-11-20 15:02"))

    second = fetch(known=known_from(first))

    assert isinstance(first, Fetched)
    assert isinstance(second, Fetched)
    assert second.raw.sha256 != first.raw.sha256
    assert second.raw.content == first.raw.content


def test_a_rebuilt_release_is_fetched_with_another_content(usda: UsdaServer, fetch: Fetch) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    first = fetch()
    changed = [replace(ROWS[0], value=ROWS[0].value + 1), *ROWS[1:]]
    usda.publish(NOVEMBER, zip_rows(changed))

    second = fetch(known=known_from(first))

    assert isinstance(first, Fetched)
    assert isinstance(second, Fetched)
    assert second.raw.content != first.raw.content


def test_a_file_that_the_sink_has_lost_comes_again(usda: UsdaServer, fetch: Fetch) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    known = replace(known_from(fetch()), etag=None, last_modified=None)

    result = fetch(known=known)

    assert isinstance(result, Fetched)
    assert result.path.read_bytes() == ARCHIVE


def test_what_was_learnt_at_another_address_is_not_asked_for(
    usda: UsdaServer, fetch: Fetch
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    known = replace(known_from(fetch()), url="https://mirror.example/2025/11/psd_alldata_csv.zip")
    count = len(usda.requests)

    assert isinstance(fetch(known=known), Fetched)
    assert "if-none-match" not in usda.since(count)[0].headers


@pytest.mark.parametrize("status", [404, 410])
def test_a_month_without_a_release_is_absent_after_one_request(
    usda: UsdaServer, fetch: Fetch, status: int
) -> None:
    usda.fail(Fault(kind="status", status=status))

    assert fetch() == Absent()
    assert len(usda.requests) == 1


def test_a_release_that_was_there_is_not_given_up_for_a_404(usda: UsdaServer, fetch: Fetch) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    known = known_from(fetch())
    usda.remove(NOVEMBER)

    with pytest.raises(SourceError, match="404 Not Found for a release it had"):
        fetch(known=known)


def test_a_release_that_is_gone_for_good_is_absent(usda: UsdaServer, fetch: Fetch) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    known = known_from(fetch())
    usda.fail(Fault(kind="status", status=410))

    assert fetch(known=known) == Absent()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_recovers_is_asked_again(usda: UsdaServer, fetch: Fetch, status: int) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    usda.fail(Fault(kind="status", status=status, times=3))

    assert isinstance(fetch(), Fetched)
    assert [request.status for request in usda.requests] == [status, status, status, 200]


def test_a_server_that_stays_broken_is_an_error_with_address_and_reason(
    usda: UsdaServer, fetch: Fetch
) -> None:
    usda.fail(Fault(kind="status", status=503))

    with pytest.raises(SourceError) as raised:
        fetch()

    assert str(raised.value) == (
        f"{usda.base_url}/{NOVEMBER}: the server answers 503 Service Unavailable (4 attempts)"
    )
    assert len(usda.requests) == 4


def test_a_refusal_that_will_not_pass_is_not_asked_for_again(
    usda: UsdaServer, fetch: Fetch
) -> None:
    usda.fail(Fault(kind="status", status=403))

    with pytest.raises(SourceError, match=f"{NOVEMBER}: the server answers 403 Forbidden"):
        fetch()
    assert len(usda.requests) == 1


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_obeyed(usda: UsdaServer, fetch: Fetch, *, as_date: bool) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    # A date has no parts of a second: two seconds ahead are at least one.
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    wait = moment if as_date else "1"
    usda.fail(Fault(kind="status", status=503, headers={"Retry-After": wait}, times=1))

    assert isinstance(fetch(), Fetched)
    first, second = usda.requests
    assert second.at - first.at > 0.9


def test_a_server_that_wants_hours_is_not_waited_for(usda: UsdaServer, fetch: Fetch) -> None:
    usda.fail(Fault(kind="status", status=503, headers={"Retry-After": "3600"}))

    with pytest.raises(SourceError, match="asks to wait 3600 s: run again later"):
        fetch()
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
    file = usda.publish(NOVEMBER, ARCHIVE)
    usda.fail(Fault(kind="overstated", after=1 << 30))

    assert fetch() == Refused(
        reason="is larger than 536,870,912 bytes: not a release",
        etag=file.etag,
        last_modified=file.last_modified,
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


def test_a_bad_file_is_not_downloaded_twice(usda: UsdaServer, fetch: Fetch) -> None:
    file = usda.publish(NOVEMBER, ARCHIVE[:-100])
    refused = fetch()
    assert isinstance(refused, Refused)
    known = Known(
        url=f"{usda.base_url}/{NOVEMBER}",
        checked_at=datetime.now(UTC),
        etag=refused.etag,
        last_modified=refused.last_modified,
        refused=refused.reason,
    )
    count = len(usda.requests)

    assert fetch(known=known) == Unchanged(etag=file.etag, last_modified=file.last_modified)
    assert [request.sent for request in usda.since(count)] == [0]


def test_a_good_file_that_comes_back_after_a_bad_one_is_fetched(
    usda: UsdaServer, fetch: Fetch
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    good = fetch()
    bad = usda.publish(NOVEMBER, ARCHIVE[:-100])
    known = replace(known_from(good), etag=bad.etag, last_modified=bad.last_modified, refused="bad")
    usda.publish(NOVEMBER, ARCHIVE)

    result = fetch(known=known)

    assert isinstance(good, Fetched)
    assert isinstance(result, Fetched)
    assert result.raw.content == good.raw.content


def test_progress_is_told_in_bytes_while_they_arrive(usda: UsdaServer, fetch: Fetch) -> None:
    archive = zip_rows(balances("2025-11", years=range(1900, 2026), countries=COUNTRIES))
    usda.publish(NOVEMBER, archive)
    told: list[int] = []

    fetch(received=told.append)

    assert sum(told) == len(archive)
    assert len(told) > 1


def test_threads_share_connections_that_stay_open(
    usda: UsdaServer, source: PsdOnline, tmp_path: Path
) -> None:
    months = [f"2025/{month:02}/psd_alldata_csv.zip" for month in range(6, 12)]
    for path in months:
        usda.publish(path, ARCHIVE)
    partitions = asked(source)
    known: dict[str, Known] = {}
    for _ in range(5):
        with ThreadPoolExecutor(2) as pool:
            results = pool.map(
                lambda one: source.fetch(
                    FetchRequest(partition=one, known=known.get(one.key), directory=tmp_path)
                ),
                partitions,
            )
            for partition, result in zip(partitions, results, strict=True):
                if isinstance(result, Fetched):
                    known[partition.key] = known_from(result)

    assert len(usda.requests) == 5 * len(months)
    assert len({request.port for request in usda.requests}) <= 2


def test_a_server_that_cannot_be_reached_is_named_and_tried_once_for_the_rest(
    usda: UsdaServer, fetch: Fetch
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    usda.stop()

    with pytest.raises(SourceError, match=r"127\.0\.0\.1 cannot be reached: .* \(4 attempts\)"):
        fetch("2025-11")
    with pytest.raises(SourceError, match=r"cannot be reached: .* \(1 attempt\)"):
        fetch("2025-10")
    usda.start()

    assert isinstance(fetch("2025-11"), Fetched)
    usda.fail(Fault(kind="status", times=3))
    assert isinstance(fetch("2025-11"), Fetched)


def test_a_server_that_does_not_answer_is_not_waited_for_without_end(
    open_source: Callable[..., PsdOnline], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = open_source(
            f"http://127.0.0.1:{silent.getsockname()[1]}",
            Patience(attempts=2, first_wait=0, silence=0.2),
        )
        started = time.monotonic()
        with pytest.raises(SourceError, match=r"nothing arrived for 0\.2 s \(2 attempts\)"):
            source.fetch(FetchRequest(partition=asked(source)[-1], known=None, directory=tmp_path))

    assert time.monotonic() - started < 5


def test_a_body_that_drips_is_not_waited_for_without_end(
    usda: UsdaServer, open_source: Callable[..., PsdOnline], tmp_path: Path
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    usda.fail(Fault(kind="drip", after=100))
    source = open_source(usda.base_url, Patience(attempts=2, first_wait=0, whole=0.3))
    started = time.monotonic()
    with pytest.raises(SourceError, match=r"did not arrive within 0\.3 s \(2 attempts\)"):
        source.fetch(FetchRequest(partition=asked(source)[-1], known=None, directory=tmp_path))

    assert time.monotonic() - started < 5
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_no_more_is_an_error_that_says_so(
    usda: UsdaServer, source: PsdOnline
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    with pytest.raises(SourceError, match="cannot be written to"):
        source.fetch(
            FetchRequest(partition=asked(source)[-1], known=None, directory=Path("/proc/none"))
        )
