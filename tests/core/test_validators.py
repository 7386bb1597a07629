from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from materia.data import Absent, Fetched, Known, Partition, RawFile, Refused, Unchanged
from materia.errors import SourceError
from materia.kit.validators import usable_date, usable_etag
from materia_runner.worker.fetch import to_ask_with, to_keep

NOW = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
DATE = "Sat, 10 Jan 2026 12:00:00 GMT"
PARTITION = Partition(key="2026-01", url="https://acme.example/2026-01.zip", file="prices.zip")
RAW = RawFile(
    partition="2026-01",
    file="prices.zip",
    url=PARTITION.url,
    sha256="a" * 64,
    content="c",
    size=3,
    etag='"1"',
    last_modified=DATE,
    fetched_at=NOW,
)
IN_USE = Known(url=PARTITION.url, checked_at=NOW, raw=RAW, etag='"1"', last_modified=DATE)
REFUSED = replace(
    IN_USE, etag=None, last_modified=None, refused="is a page", refused_sha256="b" * 64
)


def refused(sha256: str | None, reason: str = "is a page") -> Refused:
    return Refused(reason=reason, etag='"bad"', last_modified=DATE, path=None, sha256=sha256)


def asked(known: Known | None, *, everything: bool = False) -> tuple[str | None, str | None]:
    found = to_ask_with(known, PARTITION, everything=everything)
    assert found is not None
    return found.etag, found.last_modified


def test_what_is_in_use_is_asked_for_with_its_validators() -> None:
    assert asked(IN_USE) == ('"1"', DATE)
    assert to_ask_with(None, PARTITION, everything=False) is None


@pytest.mark.parametrize(
    ("known", "everything"),
    [
        (IN_USE, True),
        (replace(IN_USE, url="https://elsewhere.example/"), False),
        (replace(IN_USE, refused="is a page"), False),  # as a former version remembered it
        (replace(IN_USE, etag='"caf\xe9"', last_modified="yesterday"), False),
    ],
)
def test_validators_that_prove_nothing_here_are_not_asked_with(
    known: Known, *, everything: bool
) -> None:
    assert asked(known, everything=everything) == (None, None)


def test_of_a_304_the_validators_that_were_asked_with_are_kept() -> None:
    answer = Unchanged(etag='"new"', last_modified="later")

    assert to_keep(IN_USE, PARTITION, answer, everything=False) == Unchanged(
        etag='"1"', last_modified=DATE
    )


def test_new_validators_are_kept_for_bytes_that_were_read_again() -> None:
    answer = Unchanged(etag='"new"', last_modified=DATE, sha256=RAW.sha256)

    assert to_keep(IN_USE, PARTITION, answer, everything=False) == answer
    odd = replace(answer, etag='"\xe9"', last_modified="soon")
    assert to_keep(IN_USE, PARTITION, odd, everything=False) == replace(
        answer, etag=None, last_modified=None
    )


@pytest.mark.parametrize(
    ("known", "sha256", "everything"),
    [
        (None, None, False),
        (None, RAW.sha256, False),
        (IN_USE, "b" * 64, False),
        (IN_USE, None, True),
        (REFUSED, None, False),
        (REFUSED, RAW.sha256, False),
        (replace(IN_USE, url="https://elsewhere.example/"), None, False),
    ],
)
def test_unchanged_is_a_contradiction_where_no_condition_was_sent(
    known: Known | None, sha256: str | None, *, everything: bool
) -> None:
    answer = Unchanged(etag='"1"', last_modified=None, sha256=sha256)

    with pytest.raises(SourceError, match=r"2026-01\.zip: the source reports it unchanged"):
        to_keep(known, PARTITION, answer, everything=everything)


def test_a_refused_file_keeps_no_validator_before_the_same_bytes_came_twice() -> None:
    first = to_keep(IN_USE, PARTITION, refused("b" * 64), everything=False)
    again = to_keep(REFUSED, PARTITION, refused("b" * 64), everything=False)
    other = to_keep(REFUSED, PARTITION, refused("d" * 64), everything=False)

    assert first == replace(refused("b" * 64), etag=None, last_modified=None)
    assert again == Unchanged(etag='"bad"', last_modified=DATE, sha256="b" * 64)
    assert other == replace(refused("d" * 64), etag=None, last_modified=None)


def test_a_refusal_without_a_file_is_the_same_one_while_its_reason_is() -> None:
    known = replace(REFUSED, refused_sha256=None)

    assert to_keep(known, PARTITION, refused(None), everything=False) == Unchanged(
        etag=None, last_modified=None
    )
    other = refused(None, "is too large")
    assert to_keep(known, PARTITION, other, everything=False) == replace(
        other, etag=None, last_modified=None
    )


def test_the_same_file_is_unchanged_when_everything_is_asked_for() -> None:
    again = Fetched(raw=replace(RAW, etag='"2"'), path=Path("x"))

    assert to_keep(IN_USE, PARTITION, again, everything=True) == Unchanged(
        etag='"2"', last_modified=DATE, sha256=RAW.sha256
    )
    lost = replace(IN_USE, etag=None, last_modified=None)
    assert to_keep(lost, PARTITION, again, everything=True) == again
    assert to_keep(REFUSED, PARTITION, again, everything=True) == again


def test_an_absence_is_passed_on_as_it_is() -> None:
    assert to_keep(IN_USE, PARTITION, Absent("gone"), everything=False) == Absent("gone")


@given(st.text(max_size=30))
def test_a_tag_that_is_kept_can_be_sent_in_a_header(text: str) -> None:
    for etag in (text, f'"{text}"', f'W/"{text}"'):
        found = usable_etag(etag)
        assert found in {None, etag}
        if found is not None:
            assert found.isascii()
            assert found.isprintable()
            assert "*" not in found or '"' in found
            assert " " not in found


@given(st.text(max_size=40))
def test_a_date_that_is_kept_is_one(text: str) -> None:
    assert usable_date(text) in {None, text}


@pytest.mark.parametrize(
    ("date", "kept"),
    [
        (DATE, True),
        ("Saturday, 10-Jan-26 12:00:00 GMT", True),
        ("0", False),
        ("-1", False),
        ("", False),
        ("Sat, 10 Jan 99999 12:00:00 GMT", False),
        ("Sat, 10 Jan 2026 12:00:00 GMT\xe9", False),
    ],
)
def test_a_last_modified_is_kept_when_it_is_a_date(date: str, *, kept: bool) -> None:
    assert (usable_date(date) == date) is kept
