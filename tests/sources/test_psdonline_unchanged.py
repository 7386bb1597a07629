"""Over HTTP: what a release costs that is known already, and what comes of its changes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.psd import balances, csv_text, zip_rows, zip_text
from fakes.psd_damage import DAMAGES
from fakes.psd_november import ARCHIVE, NOVEMBER, ROWS, Fetch
from fakes.psd_world import known_from
from fakes.usda import Fault, UsdaServer
from materia.data import Absent, Fetched, Refused, Unchanged
from materia.errors import SourceError


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
    assert "if-modified-since" not in request.headers
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

    assert fetch(known=known) == Unchanged(
        etag=again.etag, last_modified=again.last_modified, sha256=first.raw.sha256
    )
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


@pytest.mark.parametrize("status", [403, 404, 410, 451])
def test_a_release_that_the_server_denies_is_absent_with_its_words(
    usda: UsdaServer, fetch: Fetch, status: int
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    known = known_from(fetch())
    usda.fail(Fault(kind="status", status=status))

    result = fetch(known=known)

    assert isinstance(result, Absent)
    assert result.reason.startswith(f"the server answers {status} ")
    assert not result.removed


def test_a_month_that_was_never_there_and_is_forbidden_is_an_error(
    usda: UsdaServer, fetch: Fetch
) -> None:
    usda.fail(Fault(kind="status", status=403))

    with pytest.raises(SourceError, match="403 Forbidden"):
        fetch()


def test_a_whole_file_of_no_use_is_refused_with_the_validators_it_came_with(
    usda: UsdaServer, fetch: Fetch
) -> None:
    file = usda.publish(NOVEMBER, DAMAGES["a second member"](ROWS))
    refused = fetch()

    assert isinstance(refused, Refused)
    assert (refused.etag, refused.last_modified) == (file.etag, file.last_modified)
    assert refused.sha256 == hashlib.sha256(file.content).hexdigest()
    assert len(usda.requests) == 1


@pytest.mark.parametrize("how", ["a page", "cut short", "a wrong checksum"])
def test_a_file_that_may_be_damaged_on_its_way_is_asked_for_twice_and_keeps_no_validator(
    usda: UsdaServer, fetch: Fetch, how: str
) -> None:
    usda.publish(NOVEMBER, DAMAGES[how](ROWS))
    refused = fetch()

    assert isinstance(refused, Refused)
    assert (refused.etag, refused.last_modified) == (None, None)
    first, second = usda.requests
    assert "cache-control" not in first.headers
    assert second.headers["cache-control"] == "no-cache"


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
