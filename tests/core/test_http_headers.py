from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from materia.data import Known
from materia.kit.http_dates import retry_after
from materia_http.headers import (
    Span,
    confirms,
    length_of,
    span_of,
    still_the_same,
)

NOW = datetime(2025, 11, 14, 17, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Fri, 14 Nov 2025 17:00:30 GMT", 30.0),
        ("Fri, 14 Nov 2025 17:00:30 -0000", 30.0),
        ("Friday, 14-Nov-25 17:00:30 GMT", 30.0),
        ("Fri, 14 Nov 2025 16:00:00 GMT", 0.0),
        ("Fri, 14 Nov 2025 12:01:00 -0500", 60.0),
        ("Fri, 32 Nov 2025 17:00:30 GMT", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str | None, seconds: float | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)

    assert retry_after(value, NOW) == expected


@given(st.text(max_size=40))
def test_whatever_a_server_sends_as_retry_after_is_understood_or_left(value: str) -> None:
    asked = retry_after(value, NOW)

    assert asked is None or asked >= timedelta(0)


@pytest.mark.parametrize(
    ("value", "span"),
    [
        ("bytes 500-999/1000", Span(start=500, end=1000, length=1000)),
        ("bytes 0-0/*", Span(start=0, end=1, length=None)),
        ("bytes */1000", None),
        ("bytes 5-", None),
        ("bytes 9-5/1000", None),
        ("bytes 500-1000/1000", None),
        (f"bytes {'9' * 5000}-5/7", None),
        ("lines 5-6/7", None),
        ("", None),
        (None, None),
    ],
)
def test_a_part_says_where_it_starts_and_ends(value: str | None, span: Span | None) -> None:
    assert span_of(value) == span


@pytest.mark.parametrize(
    ("value", "length"),
    [("12", 12), (" 0 ", 0), ("", None), (None, None), ("-1", None), ("9" * 5000, None)],
)
def test_a_length_is_a_number_or_unknown(value: str | None, length: int | None) -> None:
    assert length_of(value) == length


MONDAY = "Mon, 10 Nov 2025 12:00:00 GMT"
TUESDAY = "Tue, 11 Nov 2025 12:00:00 GMT"


def known(etag: str | None, last_modified: str | None) -> Known:
    return Known(url="u", checked_at=NOW, etag=etag, last_modified=last_modified)


@pytest.mark.parametrize(
    ("before", "answered", "same"),
    [
        (('"a"', MONDAY), ('"a"', TUESDAY), True),
        (('"a"', TUESDAY), ('"a"', MONDAY), False),
        (('"a"', MONDAY), ('"b"', MONDAY), False),
        (('"a"', MONDAY), (None, MONDAY), False),
        ((None, MONDAY), ('"a"', MONDAY), False),
        ((None, MONDAY), (None, MONDAY), True),
        ((None, MONDAY), (None, TUESDAY), False),
        ((None, None), (None, None), False),
    ],
)
def test_of_an_answer_with_a_body_the_etag_decides_and_without_any_the_date(
    before: tuple[str | None, str | None], answered: tuple[str | None, str | None], *, same: bool
) -> None:
    assert still_the_same(known(*before), *answered) is same


@pytest.mark.parametrize(
    ("before", "answered", "same"),
    [
        (('"a"', MONDAY), (None, None), True),
        (('"a"', MONDAY), ('"a"', MONDAY), True),
        (('"a"', MONDAY), ('W/"a"', TUESDAY), True),
        (('"a"', MONDAY), ('"b"', MONDAY), False),
        (('"a"', MONDAY), ('"a-gzip"', MONDAY), False),
        (('"a"', MONDAY), ("", MONDAY), False),
        (('"a"', TUESDAY), ('"a"', MONDAY), False),
        (('"a"', TUESDAY), (None, MONDAY), False),
        ((None, MONDAY), (None, None), True),
        ((None, MONDAY), (None, MONDAY), True),
        ((None, MONDAY), (None, TUESDAY), False),
        ((None, TUESDAY), (None, MONDAY), False),
        ((None, MONDAY), ('"a"', MONDAY), False),
    ],
)
def test_a_304_is_believed_only_about_the_file_that_was_asked_with(
    before: tuple[str | None, str | None], answered: tuple[str | None, str | None], *, same: bool
) -> None:
    assert confirms(known(*before), *answered) is same
