"""Over HTTP: what breaks on the way is asked for again, and is never believed of the file."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.psd import balances, zip_rows
from fakes.psd_november import ARCHIVE, NOVEMBER, ROWS, Fetch
from fakes.psd_world import asked, known_from
from fakes.usda import START, Fault, UsdaServer
from materia.data import Fetched, FetchRequest, Known, Unchanged
from materia.errors import SourceError
from materia_psdonline.source import PsdOnline

OTHER = zip_rows(balances("2025-11", seed=1))
NOWHERE = {"ETag": '"else"', "Content-Range": "bytes 0-99/2000"}


def test_an_archive_cut_short_without_a_length_is_asked_for_again_within_the_run(
    usda: UsdaServer, fetch: Fetch, tmp_path: Path
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    usda.fail(Fault(kind="unannounced", after=900, times=1))

    result = fetch()

    assert isinstance(result, Fetched)
    assert result.path.read_bytes() == ARCHIVE
    assert list((tmp_path / "in").iterdir()) == [result.path]


def test_an_archive_that_is_always_cut_short_without_a_length_is_an_error_of_the_transfer(
    usda: UsdaServer, fetch: Fetch, tmp_path: Path
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    usda.fail(Fault(kind="unannounced", after=900))

    with pytest.raises(SourceError, match=rf"{NOVEMBER}: is cut short .* \(2 attempts\)"):
        fetch()
    assert list((tmp_path / "in").iterdir()) == []


def test_an_archive_that_is_cut_at_another_place_each_time_is_an_error_of_the_transfer(
    usda: UsdaServer, fetch: Fetch
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    for after in (900, 800, 700, 600):
        usda.fail(Fault(kind="understated", after=after, times=1))

    with pytest.raises(SourceError, match=r"damaged in transfer, .* \(4 attempts\)"):
        fetch()


def test_a_whole_archive_without_a_length_is_taken(usda: UsdaServer, fetch: Fetch) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    usda.fail(Fault(kind="unannounced", after=len(ARCHIVE)))

    assert isinstance(fetch(), Fetched)


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": '"other"'},
        {"ETag": 'W/"other"'},
        {"ETag": ""},
        {"ETag": "*"},
        {"ETag": '"caf\xe9"'},
        {"Last-Modified": "Fri, 14 Nov 2025 00:00:00 GMT"},
    ],
)  # fmt: skip
def test_a_304_about_another_file_leads_to_a_request_without_conditions(
    usda: UsdaServer, fetch: Fetch, headers: dict[str, str]
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    known = known_from(fetch())
    file = usda.publish(NOVEMBER, OTHER)
    usda.fail(Fault(kind="status", status=304, headers=headers, times=1))
    count = len(usda.requests)

    result = fetch(known=known)

    assert isinstance(result, Fetched)
    assert (result.path.read_bytes(), result.raw.etag) == (OTHER, file.etag)
    conditional, plain = usda.since(count)
    assert "if-none-match" in conditional.headers
    assert not {"if-none-match", "if-modified-since"} & plain.headers.keys()


def test_a_304_of_a_file_that_is_asked_for_by_its_date_is_of_that_very_date(
    usda: UsdaServer, fetch: Fetch
) -> None:
    usda.publish(NOVEMBER, ARCHIVE, modified=START + timedelta(days=2))
    known = replace(known_from(fetch()), etag=None)
    usda.publish(NOVEMBER, OTHER, modified=START)  # an older one: not modified since

    assert isinstance(fetch(known=known), Fetched)


def test_a_server_that_goes_by_the_date_alone_does_not_hide_a_replaced_file(
    usda: UsdaServer, fetch: Fetch
) -> None:
    usda.publish(NOVEMBER, ARCHIVE, modified=START)
    known = known_from(fetch())
    usda.publish(NOVEMBER, OTHER, modified=START + timedelta(microseconds=500))
    usda.fail(Fault(kind="by the date"))

    result = fetch(known=known)

    assert isinstance(result, Fetched)
    assert result.path.read_bytes() == OTHER


@pytest.mark.parametrize("headers", [{}, {"ETag": '"x"'}])
def test_a_304_that_nobody_asked_for_is_an_error(
    usda: UsdaServer, fetch: Fetch, headers: dict[str, str]
) -> None:
    usda.fail(Fault(kind="status", status=304, headers=headers))

    with pytest.raises(SourceError, match=r"304 to a request without conditions \(4 attempts\)"):
        fetch()


def test_what_a_304_adds_is_not_kept_for_a_file_that_came_without_it(
    usda: UsdaServer, fetch: Fetch
) -> None:
    file = usda.publish(NOVEMBER, ARCHIVE)
    known = known_from(fetch())
    later = {"ETag": f"W/{file.etag}", "Last-Modified": "Sat, 29 Nov 2025 00:00:00 GMT"}
    usda.fail(Fault(kind="status", status=304, headers=later))

    assert fetch(known=known) == Unchanged(etag=file.etag, last_modified=file.last_modified)


def test_the_same_tag_before_a_file_of_another_length_is_not_believed(
    usda: UsdaServer, fetch: Fetch
) -> None:
    file = usda.publish(NOVEMBER, ARCHIVE)
    known = known_from(fetch())
    usda.fail(Fault(kind="status", status=200, headers={"ETag": file.etag}, body=OTHER, times=1))
    assert len(OTHER) != len(ARCHIVE)

    assert isinstance(fetch(known=known), Fetched)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": "bytes 0-99/2000"},
        {"Content-Range": "bytes 0-4/*"},
        {"Content-Range": "bytes 5-9/10"},
        {"Content-Range": "nonsense"},
        {},
    ],
)
def test_a_part_that_nobody_asked_for_is_not_taken_for_the_file(
    usda: UsdaServer, fetch: Fetch, headers: dict[str, str]
) -> None:
    usda.publish(NOVEMBER, ARCHIVE)
    usda.fail(Fault(kind="status", status=206, headers=headers, body=ARCHIVE[:5], times=1))

    result = fetch()

    assert isinstance(result, Fetched)
    assert result.path.read_bytes() == ARCHIVE


@pytest.mark.parametrize(
    ("tag", "content_range"),
    [
        ('"other"', "bytes 500-{last}/{length}"),
        (None, "bytes 499-{last}/{length}"),
        (None, "bytes 500-{last}/99999"),
        (None, "bytes 500-{last}/600"),
        (None, "bytes */{length}"),
    ],
)
def test_a_rest_that_cannot_be_of_the_same_file_is_not_put_behind_its_begin(
    usda: UsdaServer, fetch: Fetch, tag: str | None, content_range: str
) -> None:
    file = usda.publish(NOVEMBER, ARCHIVE)
    length = len(ARCHIVE)
    headers = {
        "ETag": tag or file.etag,
        "Content-Range": content_range.format(last=length - 1, length=length),
    }
    usda.fail(
        Fault(kind="status", status=206, headers=headers, body=b"x" * (length - 500), times=1)
    )
    usda.fail(Fault(kind="short", after=500, times=1))

    result = fetch()

    assert isinstance(result, Fetched)
    assert result.path.read_bytes() == ARCHIVE


def test_a_rest_that_comes_in_pieces_is_put_together(usda: UsdaServer, fetch: Fetch) -> None:
    file = usda.publish(NOVEMBER, ARCHIVE)
    piece = {"ETag": file.etag, "Content-Range": f"bytes 500-599/{len(ARCHIVE)}"}
    usda.fail(Fault(kind="status", status=206, headers=piece, body=ARCHIVE[500:600], times=1))
    usda.fail(Fault(kind="short", after=500, times=1))

    result = fetch()

    assert isinstance(result, Fetched)
    assert result.path.read_bytes() == ARCHIVE


@pytest.mark.parametrize(
    "etag", ['"caf\xe9"', '""', "*", '"a", "b"', f'"{"x" * 5000}"', '"a b"', '"a\tb"', "W/", "'a'"]
)
def test_a_tag_that_cannot_be_sent_back_is_not_kept(
    usda: UsdaServer, fetch: Fetch, etag: str
) -> None:
    usda.fail(Fault(kind="status", status=200, headers={"ETag": etag}, body=ARCHIVE))

    result = fetch()

    assert isinstance(result, Fetched)
    assert result.raw.etag is None


@pytest.mark.parametrize("etag", ['"a,b;c=!"', 'W/"1"', "5f3c-1a", '"\\"'])
def test_a_tag_that_can_be_sent_back_is_sent_back_as_it_is(
    usda: UsdaServer, fetch: Fetch, etag: str
) -> None:
    usda.fail(Fault(kind="status", status=200, headers={"ETag": etag}, body=ARCHIVE))
    known = known_from(fetch())
    fetch(known=known)

    assert usda.requests[-1].headers["if-none-match"] == etag


def test_a_redirect_to_something_that_is_no_address_is_an_error_of_that_release(
    usda: UsdaServer, fetch: Fetch
) -> None:
    for target in ("http://[::1/x", "http://x:99999/", "//", "http://\xe9\xff.example:0x/"):
        usda.heal()
        usda.fail(Fault(kind="redirect", to=target))
        with pytest.raises(SourceError, match=NOVEMBER):
            fetch()


def test_a_refused_file_that_nothing_has_confirmed_is_asked_for_without_conditions(
    usda: UsdaServer, source: PsdOnline, tmp_path: Path
) -> None:
    file = usda.publish(NOVEMBER, zip_rows(ROWS))
    [partition] = [one for one in asked(source) if one.key == "2025-11/psd_alldata"]
    known = Known(
        url=partition.url, checked_at=START, refused="is cut short", refused_sha256="0" * 64
    )
    result = source.fetch(FetchRequest(partition=partition, known=known, directory=tmp_path))

    assert isinstance(result, Fetched)
    assert result.raw.etag == file.etag
