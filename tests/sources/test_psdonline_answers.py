from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from materia.model import Known
from materia_psdonline.answers import length_of, retry_after_seconds, starts_at, still_the_same

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
    assert retry_after_seconds(value, NOW) == seconds


@given(st.text(max_size=40))
def test_whatever_a_server_sends_as_retry_after_is_understood_or_left(value: str) -> None:
    seconds = retry_after_seconds(value, NOW)

    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("value", "start"),
    [
        ("bytes 500-999/1000", 500),
        ("bytes 0-0/*", 0),
        ("bytes */1000", None),
        ("bytes 5-", None),
        ("lines 5-6/7", None),
        ("", None),
        (None, None),
    ],
)
def test_a_part_says_where_it_starts(value: str | None, start: int | None) -> None:
    assert starts_at(value) == start


@pytest.mark.parametrize(
    ("value", "length"), [("12", 12), (" 0 ", 0), ("", None), (None, None), ("-1", None)]
)
def test_a_length_is_a_number_or_unknown(value: str | None, length: int | None) -> None:
    assert length_of(value) == length


@pytest.mark.parametrize(
    ("known", "answered", "same"),
    [
        (('"a"', "Mon"), ('"a"', "Tue"), True),
        (('"a"', "Mon"), ('"b"', "Mon"), False),
        (('"a"', "Mon"), (None, "Mon"), False),
        ((None, "Mon"), ('"a"', "Mon"), False),
        ((None, "Mon"), (None, "Mon"), True),
        ((None, "Mon"), (None, "Tue"), False),
        ((None, None), (None, None), False),
    ],
)
def test_the_etag_decides_and_without_any_the_date(
    known: tuple[str | None, str | None], answered: tuple[str | None, str | None], *, same: bool
) -> None:
    remembered = Known(url="u", checked_at=NOW, etag=known[0], last_modified=known[1])

    assert still_the_same(remembered, *answered) is same
